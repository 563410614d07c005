"""What the loader gives: do the images show the voxels, by the dataset's own camera?"""

from pathlib import Path

import numpy as np
import pytest

from data.builder.synthetic import build_synthetic
from data.cameras import project
from data.layout import METADATA
from data.shapenet import SampleKey, ShapeNetDataset, index_dataset
from tests.helpers import read_views

CROP = (137 - 128) // 2


def silhouette(voxels, side_length, view):
    """Which of 128x128 pixels the voxels cover, seen from a view and cropped as in testing."""
    steps = (np.arange(4) + 0.5) / 4
    inside = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    points = (np.argwhere(voxels)[:, None] + inside) / 32 - 0.5
    columns, rows = (project(view, side_length * points, 137) - CROP).reshape(-1, 2).T
    covered = np.zeros((128, 128), bool)
    seen = (columns >= 0) & (columns < 128) & (rows >= 0) & (rows < 128)
    covered[rows[seen].astype(int), columns[seen].astype(int)] = True
    return covered


def mean_overlap(root, name, turn=lambda voxels: voxels):
    """Mean IoU of the silhouettes of a shape's voxels and of the images in its sample."""
    index = index_dataset(root)
    position = index.names.index(name)
    samples = ShapeNetDataset(index, 128)
    images, voxels, _ = samples[SampleKey(position, 0, 24)]
    views = read_views(Path(index.views_folder(position), METADATA))
    header = Path(index.voxels_path(position)).read_bytes()[:200]
    side_length = float(header.partition(b"scale ")[2].split()[0])
    overlaps = []
    for image, view in zip(images, views, strict=True):
        shown = (image != 240).any(-1)
        covered = silhouette(turn(voxels), side_length, view)
        overlaps.append((shown & covered).sum() / (shown | covered).sum())
    return np.mean(overlaps)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("built")
    build_synthetic(root, num_shapes=1, processes=1)
    return root


WRONG = {
    "turned": lambda voxels: voxels.transpose(2, 1, 0)[::-1],
    "upside down": lambda voxels: voxels[:, ::-1],
    "unordered": lambda voxels: voxels.transpose(0, 2, 1),
}


@pytest.mark.parametrize("origin", ["built", "real"])
def test_voxels_project_onto_the_views_of_their_sample(request, origin):
    root = request.getfixturevalue(origin)
    names = index_dataset(root).names
    name = next(name for name in names if origin == "built" or "1a6f615e" in name)
    right = mean_overlap(root, name)
    assert right > 0.75
    for turn in WRONG.values():
        assert mean_overlap(root, name, turn) < right - 0.03

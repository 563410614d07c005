import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.builder import build
from data.builder.furniture import GENERATORS
from data.builder.mesh import concatenate
from data.builder.synthetic import build_synthetic
from data.cameras import project, read_views
from utils.voxels import read_binvox


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    build_synthetic(root, num_shapes=3, processes=1)
    return root


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_voxels_project_onto_the_silhouettes(dataset):
    """Occupied voxels, projected by each view's camera, fall on the silhouette."""
    for path in dataset.glob("ShapeNetVox32/*/*/model.binvox"):
        lines = path.read_bytes().split(b"\n")[2:4]
        translate, scale = (np.array(line.split()[1:], float) for line in lines)
        assert np.linalg.norm(2 * translate) == pytest.approx(1, rel=1e-5)
        centers = ((np.argwhere(read_binvox(path)) + 0.5) / 32 - 0.5) * scale
        shape = path.parent.relative_to(dataset / "ShapeNetVox32")
        folder = dataset / "ShapeNetRendering" / shape / "rendering"
        for i, view in enumerate(read_views(folder / "rendering_metadata.txt")):
            alpha = np.array(Image.open(folder / f"{i:02d}.png"))[..., 3]
            column, row = np.clip(project(view, centers, 137).astype(int), 0, 136).T
            assert (alpha[row, column] > 0).mean() > 0.75


def test_second_build_makes_what_is_missing_whatever_the_processes(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path, dirs_exist_ok=True)
    paths = sorted(tmp_path.glob("ShapeNetVox32/*/*"))
    for path in paths[1:]:
        shutil.rmtree(path)
    time = (paths[0] / "model.binvox").stat().st_mtime_ns
    build_synthetic(tmp_path, num_shapes=3, processes=2)
    assert (paths[0] / "model.binvox").stat().st_mtime_ns == time
    assert files(tmp_path) == files(dataset)


def test_interrupted_shape_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(path, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "write_binvox", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_synthetic(tmp_path, num_shapes=1, processes=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("category", GENERATORS)
def test_each_category_samples_different_shapes(category):
    areas, materials = set(), []
    for i in range(12):
        parts = GENERATORS[category](np.random.default_rng(i))
        mesh = concatenate(parts)
        lower, upper = mesh.bounds
        extent = upper - lower
        assert (extent > 0.005).all() and (extent < 4).all()
        materials.append(len({part.colors[0, 0].tobytes() for part in parts}) + len(mesh.textures))
        areas.add(round(float(np.prod(extent)), 9))
    assert len(areas) == 12
    assert max(materials) > 1

"""Datasets in the layout of Occupancy Networks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.check import check
from data.datasets import open_dataset
from data.shapenet import SampleKey, ShapeNetDataset, index_dataset
from tests.helpers import make_dataset
from utils.errors import InputError

SHAPES = [f"model{i:02d}" for i in range(6)]
LISTS = {"train": [*SHAPES[:3], "gone"], "val": SHAPES[3:4], "test": SHAPES[4:]}


@pytest.fixture
def occupancy(tmp_path):
    """The same shapes in ShapeNet's layout and in that of Occupancy Networks."""
    shapenet, root = make_dataset(tmp_path / "a", {"03001627": 6}, views=3), tmp_path / "b"
    for name in SHAPES:
        folder = root / "03001627" / name / "img_choy2016"
        folder.mkdir(parents=True)
        source = shapenet / "ShapeNetRendering/03001627" / name / "rendering"
        for view in range(3):
            image = Image.new("RGBA", (137, 137), (240, 240, 240))
            image.alpha_composite(Image.open(source / f"{view:02d}.png"))
            image.convert("RGB").save(folder / f"{view:03d}.jpg", quality=95)
        np.savez(folder / "cameras.npz", world_mat_0=np.eye(4)[:3], camera_mat_0=np.eye(3))
        voxels = shapenet / "ShapeNetVox32/03001627" / name / "model.binvox"
        (folder.parent / "model.binvox").write_bytes(voxels.read_bytes())
    for split, names in LISTS.items():
        (root / "03001627" / f"{split}.lst").write_text("\n".join(names))
    return shapenet, root


def test_occupancy_networks_layout_gives_the_same_samples(occupancy, capsys):
    shapenet, root = occupancy
    index, splits = open_dataset(root, "", 0.05)
    assert splits == {"train": [0, 1, 2], "val": [3], "test": [4, 5], "all": [0, 1, 2, 3, 4, 5]}
    assert "no views: 1," in capsys.readouterr().out
    assert index.category(0) == "chair"
    key = SampleKey(4, 0, 2)
    images, voxels, _ = ShapeNetDataset(index, 128)[key]
    expected_images, expected, _ = ShapeNetDataset(index_dataset(shapenet), 128)[key]
    assert np.array_equal(voxels, expected)
    assert np.abs(images.astype(int) - expected_images).mean() < 4


def test_contact_sheet_and_check_open_the_layout(output_of, occupancy):
    _, root = occupancy
    output_of("data.contact_sheet", root, "--out=sheet.png", "--limit=2")
    assert Path("sheet.png").exists()
    image = root / "03001627/model02/img_choy2016/001.jpg"
    image.write_bytes(image.read_bytes()[:100])
    assert set(check(root, processes=1)[0]) == {"03001627/gone", "03001627/model02"}


def test_lists_without_a_shape_on_disk_are_an_error(occupancy):
    _, root = occupancy
    for split in ("train", "val", "test"):
        (root / "03001627" / f"{split}.lst").write_text("gone")
    with pytest.raises(InputError, match="no shape"):
        open_dataset(root, "", 0.05)

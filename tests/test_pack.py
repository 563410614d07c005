"""Packed datasets: the same batches as from the images, and never those of other files."""

import os

import numpy as np
import pytest
from PIL import Image

from data.layout import RENDERINGS, VOXELS
from data.loader import TrainBatchSampler, eval_batches, make_loader
from data.pack import pack
from data.packed import PACKED, use_pack
from data.shapenet import ShapeNetDataset, index_dataset
from tests.helpers import assert_same, make_dataset
from utils.voxels import write_binvox


@pytest.fixture
def root(tmp_path):
    """Three shapes of 3 views: one view is empty, one of another size, and one is noise."""
    root = make_dataset(tmp_path / "data", {"a": 2, "b": 1}, views=3)
    folder = root / "ShapeNetRendering/a/model00/rendering"
    noise = np.random.default_rng(0).integers(0, 256, (137, 137, 4), np.uint8)
    noise[:40, :, 3] = noise[:, 60:80, 3] = 0  # colors stay under alpha 0
    Image.new("RGBA", (137, 137)).save(folder / "00.png")
    Image.fromarray(noise).save(folder / "01.png")
    Image.fromarray(noise[:50, :90]).save(folder / "02.png")
    return root


def batches(index, num_workers: int = 0, augmentation: str | None = None) -> list:
    options = {"training": True, "augmentation": augmentation} if augmentation else {}
    dataset = ShapeNetDataset(index, 128, 1, **options)
    sampler = eval_batches([0, 1, 2], 2, 3)
    if augmentation:
        sampler = TrainBatchSampler([0, 1, 2] * 4, 2, 1, 3, seed=0)
    return [list(batch) for batch in make_loader(dataset, sampler, num_workers)]


@pytest.mark.parametrize("augmentation", [None, "paper", "strong"])
def test_packed_batches_equal_those_of_images_with_any_number_of_workers(root, augmentation):
    index = index_dataset(root)
    assert use_pack(index) is index
    usual = batches(index, 0, augmentation)
    pack(root, processes=1)
    packed = use_pack(index)
    for name in (RENDERINGS, VOXELS):  # read no more
        (root / name).rename(root / f"no {name}")
    for num_workers in (0, 2):
        assert_same(usual, batches(packed, num_workers, augmentation))


def change_voxels(root):
    write_binvox(root / VOXELS / "b/model00/model.binvox", np.ones((32, 32, 32), bool))


def change_view(root):
    path = root / RENDERINGS / "b/model00/rendering/01.png"
    status = path.stat()
    Image.new("RGBA", (137, 137), "red").save(path)
    os.utime(path, ns=(0, status.st_mtime_ns))  # the size tells


def touch_view(root):
    path = root / RENDERINGS / "b/model00/rendering/01.png"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def move_view(root):
    path = root / RENDERINGS / "a/model01/rendering/00.png"
    path.rename(path.with_name("05.png"))


def cut_pack(root):
    path = root / PACKED / "a/model01.bin"
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("change", [change_voxels, change_view, touch_view, move_view, cut_pack])
def test_shape_whose_files_have_changed_is_read_from_them(root, change, capsys):
    pack(root, processes=1)
    change(root)
    index = index_dataset(root)
    assert_same(batches(index), batches(use_pack(index)))
    assert "packed: 2 of 3 shapes; " in capsys.readouterr().out
    pack(root, processes=1)
    assert_same(batches(index), batches(use_pack(index)))
    assert "packed: 3 of 3 shapes\n" in capsys.readouterr().out


def test_damaged_image_ends_packing_and_what_is_packed_stays(script, root):
    damaged = root / RENDERINGS / "a/model01/rendering/02.png"
    damaged.write_bytes(damaged.read_bytes()[:99])
    status, _, errors = script("data.pack", root, "--processes=1")
    assert status == 2 and "02.png" in errors and errors.count("\n") == 1
    assert [path.name for path in (root / PACKED).rglob("*.*")] == ["model00.bin"]
    (root / "exclude.txt").write_text("a/model01\n", encoding="utf-8")
    status, output, _ = script("data.pack", root, "--processes=1")
    assert status == 0 and PACKED in output
    assert use_pack(index_dataset(root)).packed == {"a/model00", "b/model00"}


def test_pack_of_64_voxels_gives_the_same_samples(tmp_path):
    root = make_dataset(tmp_path, {"03001627": 2}, views=2)
    rng = np.random.default_rng(0)
    for path in root.rglob("*.binvox"):
        write_binvox(path, rng.random((64, 64, 64)) < 0.2)
    pack(root, 1)
    indices = use_pack(index_dataset(root)), index_dataset(root)
    packed, usual = (ShapeNetDataset(i, 128, resolution=64)[1][1] for i in indices)
    assert packed.shape == (64, 64, 64) and np.array_equal(packed, usual)

"""Packed datasets: the same batches as from PNGs, and never those of other files."""

import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from data.layout import RENDERINGS, VOXELS
from data.loader import TrainBatchSampler, eval_batches, make_loader
from data.pack import HEADER, PACKED, RECORD, _open, pack, use_pack
from data.shapenet import ShapeNetDataset, index_dataset
from tests.helpers import SMALL, assert_same, make_dataset
from utils.errors import InputError
from utils.files import TEMPORARY_SUFFIX
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


def batches(index, num_workers: int, augmentation: str | None) -> list:
    options = {"training": True, "augmentation": augmentation} if augmentation else {}
    dataset = ShapeNetDataset(index, 128, 1, **options)
    sampler = eval_batches([0, 1, 2], 2, 3)
    if augmentation:
        sampler = TrainBatchSampler([0, 1, 2] * 4, 2, 1, 3, seed=0)
    return list(make_loader(dataset, sampler, num_workers))


@pytest.mark.parametrize("augmentation", [None, "paper", "strong"])
def test_packed_batches_equal_those_of_pngs_with_any_number_of_workers(root, augmentation):
    index = index_dataset(root)
    assert use_pack(index) is index
    pack(root, processes=1)
    packed = use_pack(index).take([2, 0, 1])
    usual = batches(index.take([2, 0, 1]), 0, augmentation)
    for name in (RENDERINGS, VOXELS):  # read no more
        (root / name).rename(root / f"no {name}")
    for num_workers in (0, 2):
        for a, b in zip(usual, batches(packed, num_workers, augmentation), strict=True):
            assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2]


def test_pack_pickles_without_its_contents(root):
    pack(root, processes=1)
    packed = use_pack(index_dataset(root))
    content = pickle.dumps(packed)
    assert len(content) < 2000
    assert pickle.loads(content).load_image(0, 1).tobytes() == packed.load_image(0, 1).tobytes()


def touch(root):
    path = root / RENDERINGS / "b/model00/rendering/01.png"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def resize(root):
    path = root / VOXELS / "b/model00/model.binvox"
    times = path.stat()
    write_binvox(path, np.ones((32, 32, 32), bool))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def overwrite(offset: int, content: bytes):
    def change(root):
        with open(root / PACKED, "r+b") as file:
            file.seek(offset)
            file.write(content)

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (touch, "01.png"),
        (resize, "model.binvox"),
        (lambda root: shutil.rmtree(root / VOXELS / "b"), "other shapes"),
        (lambda root: (root / PACKED).write_bytes(b""), "other shapes"),
        (overwrite(0, b"x"), "other shapes"),
        (overwrite(HEADER.itemsize + RECORD.fields["offset"][1], b"\xff" * 8), "damaged"),
        (overwrite(HEADER.itemsize + RECORD.fields["left"][1], b"\xff\0\0"), "damaged"),
        (lambda root: os.truncate(root / PACKED, (root / PACKED).stat().st_size - 1), "damaged"),
    ],
)
def test_pack_of_other_files_is_refused(root, change, named):
    pack(root, processes=1)
    change(root)
    with pytest.raises(InputError, match=f"packed.bin: .*{named}.*data.pack"):
        use_pack(index_dataset(root))
    pack(root, processes=1)
    use_pack(index_dataset(root))


def test_pack_replaced_during_a_run_is_refused(root):
    pack(root, processes=1)
    packed = use_pack(index_dataset(root))
    os.utime(root / PACKED, ns=(0, 0))
    assert packed.load_voxels(0).any()  # the file that is open stays as it was
    _open.cache_clear()  # as in a worker that starts now
    with pytest.raises(InputError, match=r"packed\.bin: replaced"):
        packed.load_voxels(0)


def test_excluded_shapes_are_not_packed_and_a_damaged_one_leaves_no_pack(script, root):
    damaged = root / RENDERINGS / "a/model01/rendering/02.png"
    damaged.write_bytes(damaged.read_bytes()[:99])
    status, _, errors = script("data.pack", root, "--processes=1")
    assert status == 2 and "02.png" in errors and errors.count("\n") == 1
    assert {path.name for path in root.iterdir()} == {RENDERINGS, VOXELS}
    (root / "exclude.txt").write_text("a/model01\n", encoding="utf-8")
    status, output, _ = script("data.pack", root, "--processes=1")
    assert status == 0 and PACKED in output
    index = use_pack(index_dataset(root))
    packed, usual = (ShapeNetDataset(i, 128)[2] for i in (index, index_dataset(root)))
    assert all(np.array_equal(a, b) for a, b in zip(packed, usual, strict=True))
    with pytest.raises(InputError, match=r"02\.png"):
        index.load_image(1, 2)
    (root / "exclude.txt").unlink()
    with pytest.raises(InputError, match=r"lacks a/model01"):
        use_pack(index_dataset(root))


def test_pack_removes_what_a_killed_one_left(root):
    stale, recent = (root / f".{PACKED}-{name}{TEMPORARY_SUFFIX}" for name in "ab")
    stale.touch()
    recent.touch()  # another run may be writing it
    os.utime(stale, (0, 0))
    pack(root, processes=1)
    assert not stale.exists() and recent.exists()


def test_train_and_test_use_the_pack(script, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [*SMALL, f"--database_path={root}", "--num_epochs=1", "--val_fraction=0"]
    weights = []
    for name in ("png", "packed"):
        status, output, _ = script("train", *flags, f"--experiment_name={name}")
        assert status == 0 and (PACKED in output) == (name == "packed")
        path = tmp_path / "saved_models" / name / "checkpoint_epoch_00000001.pth"
        weights.append(torch.load(path, weights_only=True)["weights"])
        pack(root, processes=1)
    assert_same(*weights)
    status, output, _ = script("test", *flags, "--experiment_name=png", "--split=all")
    assert status == 0 and PACKED in output


def test_pack_of_64_voxels_gives_the_same_samples(tmp_path):
    root = make_dataset(tmp_path, {"03001627": 2}, views=2)
    rng = np.random.default_rng(0)
    for path in root.rglob("*.binvox"):
        write_binvox(path, rng.random((64, 64, 64)) < 0.2)
    pack(root, 1)
    indices = use_pack(index_dataset(root)), index_dataset(root)
    packed, usual = (ShapeNetDataset(i, 128, resolution=64)[1][1] for i in indices)
    assert packed.shape == (64, 64, 64) and np.array_equal(packed, usual)

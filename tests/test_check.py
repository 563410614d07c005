import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.check import check
from data.shapenet import index_dataset
from tests.helpers import make_dataset
from utils.voxels import write_binvox


@pytest.fixture
def root(tmp_path) -> Path:
    return make_dataset(tmp_path, {"chair": 3}, views=3)


def views(root: Path, shape: int = 1) -> Path:
    return root / f"ShapeNetRendering/chair/model{shape:02d}/rendering"


def voxels(root: Path, shape: int = 1) -> Path:
    return root / f"ShapeNetVox32/chair/model{shape:02d}/model.binvox"


def test_sound_dataset_has_no_problems(root, real):
    assert check(root, processes=1) == ({}, [])
    assert check(real, processes=1) == ({}, [])


def test_defects_of_the_official_archives_are_found(root):
    """A car without renderings, a rifle without voxels, a chair with a broken image."""
    shutil.rmtree(views(root, 0).parent)
    shutil.rmtree(voxels(root, 1).parent)
    path = views(root, 2) / "02.png"
    path.write_bytes(path.read_bytes()[:300])
    problems, _ = check(root, processes=1)
    damaged = problems.pop("chair/model02")
    assert problems == {"chair/model00": ["no views"], "chair/model01": ["no voxels"]}
    assert len(damaged) == 1 and str(path) in damaged[0]


def image(*arguments):
    return lambda root: Image.new(*arguments).save(views(root) / "01.png")


def grid(occupied):
    return lambda root: write_binvox(voxels(root), occupied)


def pipe(root):
    (views(root) / "01.png").unlink()
    os.mkfifo(views(root) / "01.png")


@pytest.mark.parametrize(
    ("expected", "damage"),
    [
        ("01.png: ", lambda root: (views(root) / "01.png").write_bytes(b"")),
        ("01.png: expected a regular file", pipe),
        ("01.png: empty", image("RGBA", (137, 137))),
        ("01.png: no transparent background", image("RGB", (137, 137), "red")),
        ("model.binvox: expected 32768 voxels", lambda root: os.truncate(voxels(root), 200)),
        ("all voxels are empty", grid(np.zeros((32, 32, 32), bool))),
        ("all voxels are occupied", grid(np.ones((32, 32, 32), bool))),
        (
            "model.binvox: expected 32³ or 64³ voxels, got 16³",
            grid(np.eye(16, dtype=bool)[:, None].repeat(16, 1)),
        ),
    ],
)
def test_each_kind_of_damage_is_found(root, damage, expected):
    damage(root)
    problems, _ = check(root, processes=1)
    assert list(problems) == ["chair/model01"]
    assert any(expected in problem for problem in problems["chair/model01"])


def test_files_that_are_not_views_are_only_noted(root):
    shutil.copy(views(root) / "00.png", views(root) / "00 (1).png")
    problems, others = check(root, processes=1)
    assert not problems and [Path(other).name for other in others] == ["00 (1).png"]


def test_shapes_with_problems_are_added_to_the_excluded_ones(script, output_of, root):
    command = "data.check", root, "--processes=1", "--write-exclude"
    output_of(*command)
    assert not (root / "exclude.txt").exists()
    (root / "exclude.txt").write_text("# mine\nchair/model02")
    (views(root) / "01.png").write_bytes(b"")
    for _ in range(2):  # the second time, nothing is added
        status, output, _ = script(*command)
        assert status == 1 and "chair/model01: " in output
        text = (root / "exclude.txt").read_text()
        assert text.startswith("# mine\nchair/model02\n") and text.count("chair/model01\n") == 1
        assert "01.png: " in text
    assert index_dataset(root).excluded == {"chair/model01", "chair/model02"}

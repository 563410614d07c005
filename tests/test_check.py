import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import check as module
from data.check import check, write_exclude
from data.shapenet import index_dataset
from utils.errors import InputError
from utils.voxels import write_binvox

OFFICIAL = Path(__file__).parents[2] / "shared" / "real"


def image(generator) -> Image.Image:
    pixels = generator.integers(0, 256, (137, 137, 4), dtype=np.uint8)
    pixels[:40] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def dataset(tmp_path) -> Path:
    generator = np.random.default_rng(0)
    for model in ("a", "b", "c"):
        folder = tmp_path / "ShapeNetRendering" / "chair" / model / "rendering"
        folder.mkdir(parents=True)
        for number in range(3):
            image(generator).save(folder / f"{number:02d}.png")
        (folder / "renderings.txt").write_text("00.png\n01.png\n02.png\n")
        (folder / "rendering_metadata.txt").write_text("10 27 0 0.8 25\n" * 3)
        occupied = generator.random((32, 32, 32)) < 0.3
        write_binvox(tmp_path / "ShapeNetVox32" / "chair" / model / "model.binvox", occupied)
    return tmp_path


def rendering(dataset: Path, model: str = "b") -> Path:
    return dataset / "ShapeNetRendering" / "chair" / model / "rendering"


def voxels(dataset: Path, model: str = "b") -> Path:
    return dataset / "ShapeNetVox32" / "chair" / model / "model.binvox"


def problems(dataset: Path) -> dict[str, list[str]]:
    return check(dataset, processes=1)[0]


def test_sound_dataset_has_no_problems(dataset):
    assert check(dataset, processes=1) == ({}, [])


def test_result_does_not_depend_on_the_number_of_processes(dataset):
    (rendering(dataset) / "01.png").unlink()
    assert check(dataset, processes=2) == check(dataset, processes=1)


def test_defects_of_the_official_archives_are_found(dataset):
    """A car without renderings, a rifle without voxels, a chair with a broken image."""
    shutil.rmtree(rendering(dataset, "a").parent)
    shutil.rmtree(voxels(dataset, "b").parent)
    path = rendering(dataset, "c") / "02.png"
    path.write_bytes(path.read_bytes()[:2000])
    found = problems(dataset)
    assert found["chair/a"] == ["no renderings"]
    assert found["chair/b"] == ["model.binvox: missing"]
    (problem,) = found["chair/c"]
    assert problem.startswith("02.png: damaged: ")


def damage(name, action):
    return pytest.param(action, name, id=name)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        damage("01.png: missing", lambda d: (rendering(d) / "01.png").unlink()),
        damage("01.png: damaged", lambda d: (rendering(d) / "01.png").write_bytes(b"")),
        damage(
            "01.png: damaged",
            lambda d: (rendering(d) / "01.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40)),
        ),
        damage(
            "01.png: expected 137x137 RGBA, got 10x20 RGBA",
            lambda d: Image.new("RGBA", (10, 20)).save(rendering(d) / "01.png"),
        ),
        damage(
            "01.png: expected 137x137 RGBA, got 137x137 RGB",
            lambda d: Image.new("RGB", (137, 137)).save(rendering(d) / "01.png"),
        ),
        damage(
            "01.png: empty",
            lambda d: Image.new("RGBA", (137, 137)).save(rendering(d) / "01.png"),
        ),
        damage(
            "01.png: full",
            lambda d: Image.new("RGBA", (137, 137), "red").save(rendering(d) / "01.png"),
        ),
        damage(
            "01.png: same as 00.png",
            lambda d: shutil.copy(rendering(d) / "00.png", rendering(d) / "01.png"),
        ),
        damage(
            "01.png: same as chair/a/02.png",
            lambda d: shutil.copy(rendering(d, "a") / "02.png", rendering(d) / "01.png"),
        ),
        damage(
            "03.png: not in renderings.txt",
            lambda d: image(np.random.default_rng(9)).save(rendering(d) / "03.png"),
        ),
        damage("renderings.txt: missing", lambda d: (rendering(d) / "renderings.txt").unlink()),
        damage(
            "rendering_metadata.txt: expected 3 lines, got 2",
            lambda d: (rendering(d) / "rendering_metadata.txt").write_text("1 2 0 1 25\n" * 2),
        ),
        damage(
            "rendering_metadata.txt:3: expected five numbers, got '1 2'",
            lambda d: (rendering(d) / "rendering_metadata.txt").write_text(
                "1 2 0 1 25\n" * 2 + "1 2\n"
            ),
        ),
        damage(
            "../../a/rendering/01.png: missing",
            lambda d: (rendering(d) / "renderings.txt").write_text(
                "00.png\n01.png\n../../a/rendering/01.png\n"
            ),
        ),
        damage(
            "model.binvox: expected 32768 voxels",
            lambda d: voxels(d).write_bytes(voxels(d).read_bytes()[:-2]),
        ),
        damage("model.binvox: empty", lambda d: write_binvox(voxels(d), np.zeros((32, 32, 32)))),
        damage("model.binvox: full", lambda d: write_binvox(voxels(d), np.ones((32, 32, 32)))),
        damage(
            "expected 32 voxels per side as elsewhere, got 16",
            lambda d: write_binvox(voxels(d), np.eye(16)[..., None] * np.ones(16)),
        ),
    ],
)
def test_each_kind_of_damage_is_found(dataset, action, expected):
    action(dataset)
    found = problems(dataset)
    assert list(found) == ["chair/b"]
    assert any(problem.startswith(expected) for problem in found["chair/b"])


def test_missing_views_are_found(dataset):
    (rendering(dataset) / "02.png").unlink()
    (rendering(dataset) / "renderings.txt").write_text("00.png\n01.png\n")
    (rendering(dataset) / "rendering_metadata.txt").write_text("10 27 0 0.8 25\n" * 2)
    assert problems(dataset) == {"chair/b": ["expected 3 views as elsewhere, got 2"]}


def test_a_rotated_camera_is_no_problem(dataset):
    (rendering(dataset) / "rendering_metadata.txt").write_text("10 27 5 0.8 25\n" * 3)
    assert problems(dataset) == {}


def test_equal_voxels_are_only_noted(dataset):
    shutil.copy(voxels(dataset, "a"), voxels(dataset, "c"))
    assert check(dataset, processes=1) == ({}, ["chair/c: same voxels as chair/a"])


def test_folder_without_shapes_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no shapes in"):
        check(tmp_path)


def test_exclude_file_has_names_below_their_reasons(dataset):
    (rendering(dataset) / "01.png").unlink()
    text = write_exclude(dataset, problems(dataset)).read_text()
    lines = text.splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["chair/b"]
    assert "# 01.png: missing" in lines


def test_exclude_file_keeps_names_that_are_not_utf8_and_skips_those_of_two_lines(dataset, capsys):
    odd = os.fsdecode(b"chair/m\xff"), "chair/x\u2028y", "chair/two\nlines", "#a/b"
    write_exclude(dataset, {name: ["a\nchair/a: missing"] for name in odd})
    assert index_dataset(dataset).excluded == {*odd[:2]}
    assert "two\\nlines" in capsys.readouterr().out


def test_command_prints_problems_and_returns_1(dataset, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["check", str(dataset), "--processes", "1", "--write-exclude"])
    assert module.main() == 0
    (rendering(dataset) / "01.png").unlink()
    assert module.main() == 1
    assert "chair/b: 01.png: missing" in capsys.readouterr().out
    assert "chair/b\n" in (dataset / "exclude.txt").read_text()


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="no official data in ../shared/real")
def test_official_shapes_have_no_problems():
    assert check(OFFICIAL, processes=1) == ({}, [])

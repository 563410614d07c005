import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.check import check
from data.shapenet import index_dataset
from utils.errors import InputError
from utils.voxels import write_binvox


def random_image(rng) -> Image.Image:
    pixels = rng.integers(0, 256, (137, 137, 4), dtype=np.uint8)
    pixels[:40] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def dataset(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for shape in ("a", "b", "c"):
        folder = views(tmp_path, shape)
        folder.mkdir(parents=True)
        for view in range(3):
            random_image(rng).save(folder / f"{view:02d}.png")
        write_binvox(voxels(tmp_path, shape), rng.random((32, 32, 32)) < 0.3)
    return tmp_path


def views(dataset: Path, shape: str = "b") -> Path:
    return dataset / "ShapeNetRendering" / "chair" / shape / "rendering"


def voxels(dataset: Path, shape: str = "b") -> Path:
    return dataset / "ShapeNetVox32" / "chair" / shape / "model.binvox"


def test_sound_dataset_has_no_problems(dataset, real):
    assert check(dataset, processes=1) == ({}, [])
    assert check(real, processes=1) == ({}, [])


def test_result_does_not_depend_on_the_number_of_processes(dataset):
    (views(dataset) / "01.png").unlink()
    assert check(dataset, processes=2) == check(dataset, processes=1)


def test_defects_of_the_official_archives_are_found(dataset):
    """A car without renderings, a rifle without voxels, a chair with a broken image."""
    shutil.rmtree(views(dataset, "a").parent)
    shutil.rmtree(voxels(dataset, "b").parent)
    path = views(dataset, "c") / "02.png"
    path.write_bytes(path.read_bytes()[:2000])
    problems, _ = check(dataset, processes=1)
    assert problems.keys() == {"chair/a", "chair/b", "chair/c"}
    assert problems["chair/a"] == ["no views"] and problems["chair/b"] == ["no voxels"]
    assert problems["chair/c"][0].startswith(str(path))


def image(*arguments):
    return lambda d: Image.new(*arguments).save(views(d) / "01.png")


def copy(shape: str, view: str):
    return lambda d: shutil.copy(views(d, shape) / view, views(d) / "01.png")


def grid(occupied):
    return lambda d: write_binvox(voxels(d), occupied.astype(bool))


@pytest.mark.parametrize(
    ("expected", "damage"),
    [
        ("expected 3 views as elsewhere, got 2", lambda d: (views(d) / "01.png").unlink()),
        ("01.png: ", lambda d: (views(d) / "01.png").write_bytes(b"")),
        ("01.png: empty", image("RGBA", (137, 137))),
        ("01.png: no transparent background", image("RGB", (137, 137), "red")),
        ("01.png: same as chair/b/00.png", copy("b", "00.png")),
        ("01.png: same as chair/a/02.png", copy("a", "02.png")),
        ("model.binvox: expected 32768 voxels", lambda d: os.truncate(voxels(d), 2000)),
        ("all voxels are empty", grid(np.zeros((32, 32, 32)))),
        ("all voxels are occupied", grid(np.ones((32, 32, 32)))),
        ("model.binvox: expected 32³ or 64³ voxels, got 16³", grid(np.indices((16, 16, 16))[0])),
        ("expected 32 voxels per side as elsewhere, got 64", grid(np.indices((64, 64, 64))[0])),
    ],
)
def test_each_kind_of_damage_is_found(dataset, damage, expected):
    damage(dataset)
    problems, _ = check(dataset, processes=1)
    assert list(problems) == ["chair/b"]
    assert any(expected in problem for problem in problems["chair/b"])


def test_files_that_cannot_be_read_are_problems_of_their_shape(dataset):
    (views(dataset, "a") / "01.png").unlink()
    os.mkfifo(views(dataset, "a") / "01.png")
    voxels(dataset).unlink()
    voxels(dataset).symlink_to("/proc/self/mem")  # reading it is an I/O error
    problems, _ = check(dataset, processes=1)
    assert "01.png" in problems["chair/a"][0] and "model.binvox" in problems["chair/b"][0]


def test_files_that_are_not_views_are_only_noted(dataset):
    shutil.copy(views(dataset) / "00.png", views(dataset) / "00 (1).png")
    problems, others = check(dataset, processes=1)
    assert not problems and [Path(other).name for other in others] == ["00 (1).png"]


def test_folder_without_shapes_is_an_error(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        check(tmp_path)


def test_shapes_with_problems_are_added_to_the_excluded_ones(script, dataset):
    command = "data.check", dataset, "--processes=1", "--write-exclude"
    status, _, _ = script(*command)
    assert status == 0 and not (dataset / "exclude.txt").exists()
    (dataset / "exclude.txt").write_text("# mine\nchair/c")
    (views(dataset) / "01.png").unlink()
    for _ in range(2):  # the second time, nothing is added
        status, output, _ = script(*command)
        assert status == 1 and "chair/b: expected 3 views as elsewhere, got 2" in output
        text = (dataset / "exclude.txt").read_text()
        assert text.startswith("# mine\nchair/c\n") and text.count("chair/b\n") == 1
        assert "# expected 3 views as elsewhere, got 2\n" in text
    assert index_dataset(dataset).excluded == {"chair/b", "chair/c"}

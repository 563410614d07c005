"""File names that are not UTF-8, differ by case, or hold spaces; and packages that are missing."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.helpers import SMALL, make_dataset, write_files
from utils.config import read_ini


@pytest.mark.skipif(sys.platform != "linux", reason="makes file names that only Linux takes")
def test_scripts_take_any_file_name(output_of, tmp_path, monkeypatch, no_tensorboard):
    odd = os.fsdecode(b"M\xf6bel \xff")  # not UTF-8
    work = tmp_path / "größe & 椅子" / odd
    root = make_dataset(work / "data", {"chair": 2, odd: 2}, views=2)
    for tree in root.iterdir():
        (tree / "chair" / "model00").rename(tree / "chair" / "A")
        (tree / "chair" / "model01").rename(tree / "chair" / "a")
    meshes = write_files(work / "Meshes x", "Stuhl.obj", "stuhl.obj", f"{odd}.obj")
    flags = [*SMALL, f"--database_path={root}", "--val_fraction=0", "--saved_models_path=my runs"]
    config, weights = "--cfg=my runs/3d-r2n2/config.ini", "--resume_epoch=1"
    views = [f"{root}/ShapeNetRendering/{odd}/model00/rendering/{i:02d}.png" for i in range(2)]
    built = ["--out", f"{odd}/built", "--views=1", "--processes=1"]
    monkeypatch.chdir(work)
    for name, *arguments in (
        ["train", *flags, "--num_epochs=1", "--num_workers=1"],
        ["test", config, weights, "--split=all", "--html", "--num_workers=0"],
        ["demo", config, weights, "--html", f"--output={odd} #1.obj", "--no-crop", *views],
        ["data.builder.__main__", meshes, *built],
    ):
        output_of(name, *arguments)

    folder = work / "my runs" / "3d-r2n2"
    assert read_ini(folder / "config.ini")["database_path"] == str(root)
    results = folder / "all-checkpoint_epoch_00000001"
    assert json.loads((results / "result.json").read_text("utf-8"))["num_samples"] == 4
    rows = (results / "per_sample.csv").read_text("utf-8").splitlines()[1:]
    names = {row.partition(",")[0] for row in rows}
    assert {"chair/A", "chair/a"} <= names and len(names) == 4
    assert {path.suffix for path in work.glob(f"{odd} #1.*")} == {".obj", ".png", ".html"}
    built = [path.name for path in Path(work, odd, "built/ShapeNetVox32").glob("*/*")]
    assert len({name.lower() for name in built}) == 3


def test_builder_without_embreex_is_a_one_line_error(error_of, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex", None)
    write_files(tmp_path, "a.obj")
    for name, *meshes in (["__main__", tmp_path], ["synthetic"]):
        error = error_of(f"data.builder.{name}", *meshes, "--out=out")
        assert "embreex: not installed" in error and not Path("out").exists()


def test_folder_that_tensorboard_cannot_write_is_a_one_line_error(error_of, small, tmp_path):
    name = os.fsdecode(b"M\xf6bel")
    error = error_of("train", *small, f"--experiment_name={name}")
    assert "saved_models_path: TensorBoard" in error and not list(tmp_path.iterdir())

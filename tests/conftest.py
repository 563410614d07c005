"""Fixtures: small datasets in ShapeNet's layout, and the scripts as commands."""

import os
import runpy
import signal
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from data.builder.readers import parse_mesh
from data.builder.readers.assets import FolderAssets
from tests.helpers import ROOT, SHARED, SMALL, make_dataset
from utils import errors
from utils.tensorboard import TensorBoardLogger

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it after "command &"
os.environ["OMP_NUM_THREADS"] = "1"  # in subprocesses: sums depend on it


@pytest.fixture(scope="session")
def real() -> Path:
    """The five official objects, where they are at hand."""
    if not (SHARED / "real").is_dir():
        pytest.skip("the official objects in ../shared/real are not here")
    return SHARED / "real"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """A chair category of 10 and a table category of 5 objects, 5 views each."""
    return make_dataset(tmp_path_factory.mktemp("dataset"), {"03001627": 10, "04379243": 5})


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Run each test in an empty folder, as `tmp_path` and as the current one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def script(monkeypatch, capsys):
    """Run a command in this process: script("train", "--flag=1") -> (status, output, errors).

    "data.builder.__main__" is a module's, as of `python -m data.builder`.
    """

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            if "." in name:
                errors.run(import_module(name).main)
            else:
                runpy.run_path(str(ROOT / f"{name}.py"), run_name="__main__")
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def output_of(script):
    """Run a command that must end well, without a warning, and return what it prints."""

    def run(*command):
        status, output, errors = script(*command)
        assert (status, errors) == (0, "")
        return output

    return run


@pytest.fixture
def error_of(script):
    """Run a command that must end with status 2 and one line, and return that line."""

    def run(*command):
        status, _, errors = script(*command)
        assert status == 2 and errors.startswith("error: ") and errors.count("\n") == 1, errors
        return errors

    return run


@pytest.fixture
def no_tensorboard(monkeypatch):
    """Skip the drawings of TensorBoard, which take most of the time of a small training."""
    monkeypatch.setattr(TensorBoardLogger, "write", lambda *_: None)


@pytest.fixture
def small(dataset, no_tensorboard):
    """Flags as SMALL, and the small dataset's."""
    return [*SMALL, f"--database_path={dataset}"]


@pytest.fixture
def read(tmp_path):
    """Write a file into an empty folder, with files beside it, and read it as a mesh."""

    def run(name, content, **others):
        for other, data in others.items():
            other = other.replace("_mtl", ".mtl").replace("_png", ".png")
            (tmp_path / other).write_bytes(data if isinstance(data, bytes) else data.encode())
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        run.notes = (found := FolderAssets(tmp_path)).notes
        return parse_mesh(path.read_bytes(), name, found)

    return run

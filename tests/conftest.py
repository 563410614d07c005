"""Small datasets in ShapeNet's layout, made on the spot, and the scripts as a user types them."""

import runpy
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from data.binvox import write_binvox
from utils import errors

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
SMALL = ["--width=0.0625", "--batch_size=4", "--max_views=2", "--num_workers=0", "--device=cpu"]

torch.set_num_threads(2)
settings.register_profile("quick", max_examples=1300, derandomize=True, database=None)
settings.register_profile("long", max_examples=200_000)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def real() -> Path:
    """The five official objects, where they are at hand."""
    if not (SHARED / "real").is_dir():
        pytest.skip("the official objects in ../shared/real are not here")
    return SHARED / "real"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Outputs of other people's networks, where they are at hand."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("the golden outputs in ../shared/golden are not here")
    return SHARED / "golden"


def make_dataset(root: Path, models: dict[str, int], views: int = 5, seed: int = 0) -> Path:
    """Write random boxes as `models` objects of each category, with `views` pictures each.

    A picture shows the voxels from the front, the top or the side, its colours their depth.
    """
    rng = np.random.default_rng(seed)
    for category, count in models.items():
        for number in range(count):
            voxels = np.zeros((32, 32, 32), bool)
            for _ in range(2):
                low, high = np.sort(rng.integers(2, 30, (2, 3)), axis=0)
                voxels[tuple(map(slice, low, high + 3))] = True
            name = f"{category}/model{number:02d}"
            write_binvox(root / "ShapeNetVox32" / name / "model.binvox", voxels)
            folder = root / "ShapeNetRendering" / name / "rendering"
            folder.mkdir(parents=True)
            for view in range(views):
                draw_view(voxels, view).save(folder / f"{view:02d}.png")
    return root


def draw_view(voxels: np.ndarray, view: int) -> Image.Image:
    seen = np.moveaxis(voxels, view % 3, 0)
    alpha = seen.any(0)
    depths = (seen.argmax(0), seen.sum(0), 31 - seen[::-1].argmax(0))
    pixels = np.stack([*(8 * depth for depth in depths), 255 * alpha], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels).resize((137, 137), Image.Resampling.NEAREST)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """A chair category of 10 and a table category of 5 objects, 5 views each."""
    return make_dataset(tmp_path_factory.mktemp("dataset"), {"03001627": 10, "04379243": 5})


@pytest.fixture
def script(monkeypatch, capsys):
    """Run a command in this process: script("train", "--flag=1") -> (status, output, errors).

    "data.build" is a module's, as of `python -m data.build`.
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
def small(dataset, tmp_path, monkeypatch):
    """Flags of a small network on the small dataset, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return [*SMALL, f"--database_path={dataset}"]


def assert_same(a, b):
    """Equality, bit for bit, of nested dictionaries, lists and tensors."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b

"""Mistakes of users and damaged files: one line that names the cause, status 2, nothing written."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch

from models import save_network
from tests.helpers import SMALL, make_dataset, png, small_network

IMAGE = "data/ShapeNetRendering/a/model00/rendering/00.png"
VOXELS = "data/ShapeNetVox32/a/model00/model.binvox"
TRAIN = ["train", "--database_path=data", "--num_epochs=1", "--val_fraction=0", *SMALL]
TEST = ["test", "--database_path=data", "--weights=w.pth", "--split=all", *SMALL[1:]]
DEMO = ["demo", "--device=cpu", "--weights=w.pth"]
BUILD = ["data.builder.__main__"]
ENTRY = {"taxonomy_id": "a", "train": ["model00"], "val": [], "test": []}


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A small dataset `data`, weights `w.pth` and a mesh, all in order."""
    folder = tmp_path_factory.mktemp("original")
    make_dataset(folder / "data", {"a": 2, "b": 1}, views=2)
    (folder / "m").mkdir()
    (folder / "m" / "a.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    save_network(folder / "w.pth", small_network())
    return folder


@pytest.fixture
def place(original, tmp_path) -> Path:
    return shutil.copytree(original, tmp_path, dirs_exist_ok=True)


def put(path: str, content: bytes | str | None):
    """Write a file, or make a folder if `content` is None, in place of what is there."""

    def spoil():
        Path(path).unlink(missing_ok=True)
        if content is None:
            Path(path).mkdir()
        else:
            Path(path).write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def cut(path: str, length: int):
    return lambda: put(path, Path(path).read_bytes()[:length])()


def torch_bytes(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def nothing():
    pass


CASES = [
    # flags and INI files
    *[
        (command, nothing, [flag], named)
        for command, flag, named in (
            (TRAIN, "--width=5", "width"),
            (TRAIN, "--device=tpu", "device"),
            (TRAIN, "--device=cuda:99", "device"),
            (TRAIN, "--cfg=absent.ini", "absent.ini"),
            (TRAIN, "--cfg=w.pth", "w.pth"),
            (TRAIN, "--database_path=absent", "database_path"),
            (TRAIN, "--split_file=absent.json", "absent.json"),
            (TRAIN, "--saved_models_path=w.pth", "w.pth"),
            (TRAIN, "--init_weights=data", "data"),
            (TRAIN, "--resume_epoch=5", "saved_models"),
            (TEST, "--max_views=3", "expected 3 views"),
            (TEST, "--weights=absent.pth", "absent.pth"),
            (TEST[:2], "--resume_epoch=3", "train.py"),
            (TEST[:2], "--split=all", "train.py"),
            (DEMO, "ein Bild ü.png", "ein Bild ü.png"),
            (DEMO, "--network=3D-GRU-3", "network"),
            (DEMO, "--output=a.xyz", "a.xyz"),
            (DEMO, "--output=/proc/absent/a.obj", "/proc/absent"),
            (DEMO, "--each=m", "no images"),
            (DEMO[:2], "--resume_epoch=last", "saved_models"),
            (BUILD, "m", "--out"),
            ([*BUILD, "--out=o"], "absent", "absent"),
            ([*BUILD, "m", "--out=o"], "--resolution=100000", "--resolution"),
            (["data.builder.synthetic", "--out=o"], "--models=0", "--models"),
            (["data.contact_sheet", "--out=a.png"], "absent", "absent"),
            (["data.check"], "absent", "absent"),
        )
    ],
    *[
        (TEST, nothing, [f"--thresholds={text}"], "thresholds")
        for text in ("0.4", "0:0.5:0.1", "0.5:0.1:0.1", "0.1:0.9:0")
    ],
    (TRAIN, put("my.ini", "\n[x]\nLR = a"), ["--cfg=my.ini"], "my.ini, line 3: LR"),
    # datasets
    (TRAIN, lambda: shutil.rmtree("data/ShapeNetVox32"), [], "ShapeNetVox32"),
    (TRAIN, put(VOXELS, b""), [], "model.binvox"),
    (TRAIN, cut(VOXELS, 90), ["--num_workers=2"], "model.binvox"),
    (TRAIN, cut(IMAGE, 200), [], "00.png"),
    (TRAIN, put("data/exclude.txt", b"\xff\xfe"), [], "exclude.txt"),
    *[
        (TRAIN, put("s.json", text), ["--split_file=s.json"], named)
        for text, named in (
            ("{", "s.json"),
            (None, "s.json"),
            (json.dumps([ENTRY | {"test": ["model00"]}]), "model00"),
            (json.dumps([ENTRY | {"train": ["absent"]}]), "none of its shapes are in data"),
        )
    ],
    # images, weights and meshes
    (DEMO, lambda: Path("a.png").symlink_to("/dev/zero"), ["a.png"], "a.png"),
    (DEMO, put("a.png", b"\x89PNG\r\n\x1a\n"), ["a.png"], "a.png"),
    (DEMO, put("a.png", png("red", "RGB", (30, 20))), ["--output=a.obj", "./a.png"], "a.png"),
    (DEMO, put("a.obj", None), ["--output=a.obj"], "a.obj"),
    (DEMO, put("w.pth", b"PK\x03\x04 not really"), [], "w.pth"),
    (DEMO, put("w.pth", torch_bytes([1, 2])), [], "w.pth"),
    (TRAIN, put("w.pth", torch_bytes({})), ["--init_weights=w.pth"], "w.pth"),
    (["models.convert"], put("a.npy", b"x"), ["a.npy", "b.pth"], "a.npy"),
    (BUILD, put("a.csv", b"a.off,M\xf6bel"), ["m", "--out=o", "--categories=a.csv"], "a.csv"),
]


@pytest.mark.parametrize(
    ("command", "spoil", "flags", "named"),
    CASES,
    ids=[f"{i}-{case[0][0]}-{case[3]}" for i, case in enumerate(CASES)],
)
def test_bad_input_exits_with_one_line_error_and_writes_nothing(
    error_of, place, command, spoil, flags, named
):
    spoil()
    before = {path: path.is_file() and path.stat().st_mtime_ns for path in place.rglob("*")}
    assert named in error_of(*command, *flags)
    after = {path: path.is_file() and path.stat().st_mtime_ns for path in place.rglob("*")}
    written = {path.name for path in after if before.get(path, "") != after[path]}
    logs = {name for name in written if name.startswith("events.")}
    assert written - logs <= {"saved_models", "3d-r2n2", "config.ini", "tensorboard"}

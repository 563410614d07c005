"""Mistakes of users and damaged files: one line that names the cause, and exit status 2."""

import io
import json
import os
import resource
import shutil
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.shapenet import ShapeNetIndex
from data.splits import split_from_file
from models import build_network, load_network
from models.weights import network_state
from tests.helpers import SMALL, make_dataset
from utils.config import read_ini
from utils.errors import InputError
from utils.voxels import read_binvox, write_binvox

PICTURE = "data/ShapeNetRendering/a/model00/rendering/00.png"
VOXELS = "data/ShapeNetVox32/a/model00/model.binvox"
TRAIN = ["train", "--database_path=data", "--num_epochs=1", "--val_fraction=0", *SMALL]
TEST = ["test", "--database_path=data", "--weights=w.pth", "--split=all", *SMALL[1:]]
DEMO = ["demo", "--device=cpu", "--weights=w.pth"]
BUILD = "data.builder.__main__"
HEADER = b"#binvox 1\ndim %s\ntranslate 0 0 0\nscale 1\ndata\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A small dataset `data` and weights `w.pth`, all in order."""
    folder = tmp_path_factory.mktemp("original")
    make_dataset(folder / "data", {"a": 2, "b": 1}, views=2)
    (folder / "m").mkdir()
    (folder / "m" / "a.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    torch.manual_seed(0)
    torch.save(network_state(build_network("3D-LSTM-3", width=1 / 16)), folder / "w.pth")
    return folder


@pytest.fixture
def place(original, tmp_path, monkeypatch) -> Path:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path: str, content: bytes | str):
    """Write a file, in place of what is there."""

    def spoil():
        Path(path).unlink(missing_ok=True)
        Path(path).write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def cut(path: str, length: int):
    return lambda: put(path, Path(path).read_bytes()[:length])()


def folder(path: str):
    def spoil():
        Path(path).unlink(missing_ok=True)
        Path(path).mkdir()

    return spoil


def link(path: str, target: str):
    def spoil():
        Path(path).unlink(missing_ok=True)
        Path(path).symlink_to(target)

    return spoil


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_exif(content: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (137, 137)).save(file, "PNG")
    start = file.getvalue().index(b"IDAT") - 4
    return file.getvalue()[:start] + chunk(b"eXIf", content) + file.getvalue()[start:]


def torch_bytes(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def nothing():
    pass


def split(*entries) -> str:
    return json.dumps(entries)


ENTRY = {"taxonomy_id": "a", "train": ["model00"], "val": [], "test": []}
FLAGS = [
    ("--batch_size=0", "batch_size"),
    ("--batch_size=1e3", "batch_size"),
    ("--LR=nan", "LR"),
    ("--LR=inf", "LR"),
    ("--LR=-1", "LR"),
    ("--width=0", "width"),
    ("--network=3D-LSTM-2", "network"),
    ("--seed=-1", "seed"),
    ("--device=tpu", "device"),
    ("--device=cuda:99", "device"),
    ("--batchsize=3", "batch_size"),
    ("--cfg=data", "data"),
    ("--cfg=w.pth", "w.pth"),
    ("--threshold=0", "threshold"),
    ("--saved_models_path=w.pth", "w.pth"),
    ("--saved_models_path=/proc/absent", "/proc/absent"),
    ("--init_weights=data", "data"),
    ("unknown", "unknown"),
]
INI = [
    ("LR 0.1", "bad.ini, line 1"),
    ("\n[x]\nLR = a", "bad.ini, line 3: LR"),
    ("LR = 1\nLR = 2", "line 2"),
    ("no_such_key = 1", "no_such_key"),
    ("LR = 1\x00", "bad.ini"),
    (b"\xff\xfe\x00", "bad.ini"),
    ("=1", "line 1"),
]
BINVOX = [
    (b"", "model.binvox"),
    (b"#binvox 2", "data"),
    (b"GIF89a", "#binvox"),
    (HEADER % b"100000 100000 100000" + b"\x01\xff" * 9, "100000"),
    (HEADER % b"-32 -32 -32", "-32"),
    (HEADER % b"32 32 16" + b"\x00\xff" * 64, "32x32x16"),
    (HEADER % b"0 0 0", "0x0x0"),
    (HEADER % b"99999999999999999999 1 1", "dim"),
    (HEADER % b"nan nan nan", "dim"),
    (HEADER % b"32 32 32" + b"\x00\xff" * 500, "expected 32768 voxels"),
    (HEADER % b"32 32 32" + b"\x02\xff" * 128 + b"\x02\x80", "values of 0 or 1"),
    (HEADER % b"32 32 32" + b"\x00\xff" * 128 + b"\x00\x80\x01\x00", "lengths"),
    (HEADER % b"32 32 32" + b"\x00", "model.binvox"),
    (HEADER % b"8 8 8" + b"\x00\xff\x00\xff\x00\x02", "expected 32³"),
    (b"#binvox 1\n" + b"x" * 5000, "data"),
]
PICTURES = [
    (b"", "00.png"),
    (b"\x89PNG\r\n\x1a\n", "00.png"),
    (png(100000, 100000), "00.png"),
    (png(137, 137), "00.png"),
    (png(0, 0), "00.png"),
    (png(137, 137, b"\x07" * 100), "00.png"),
    (with_exif(b"II*\0"), "00.png"),
    (with_exif(b"II+\0"), "00.png"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "00.png"),
    ("<svg/>", "00.png"),
]
SPLITS = [
    ("", "s.json"),
    ("{", "s.json"),
    ("[" * 100000, "s.json"),
    ("[1]", "s.json"),
    (b"\xff\xff", "s.json"),
    (split({**ENTRY, "test": ["model00"]}), "model00"),
    (split({**ENTRY, "test": ["model01"], "train": []}), "'train'"),
    (split({**ENTRY, "train": ["absent"]}), "split_file: s.json: none of its shapes are in data"),
]
WEIGHTS = [
    (b"", "w.pth"),
    (torch_bytes([1, 2]), "dictionary"),
    (torch_bytes({}), "w.pth"),
]
CASES = [
    *[(TRAIN, nothing, [flag], named) for flag, named in FLAGS],
    *[(TRAIN, put("bad.ini", text), ["--cfg=bad.ini"], named) for text, named in INI],
    *[(TRAIN, put(VOXELS, content), [], named) for content, named in BINVOX],
    *[(TRAIN, put(PICTURE, content), [], named) for content, named in PICTURES],
    *[(DEMO, put("00.png", content), ["00.png"], named) for content, named in PICTURES],
    *[(TRAIN, put("s.json", text), ["--split_file=s.json"], named) for text, named in SPLITS],
    *[(DEMO, put("w.pth", content), [], named) for content, named in WEIGHTS],
    *[
        (TRAIN, put("w.pth", content), ["--init_weights=w.pth"], named)
        for content, named in WEIGHTS[:3]
    ],
    *[(TRAIN, make(path), [], path) for make in (folder,) for path in (VOXELS, PICTURE)],
    (TRAIN, link(PICTURE, "/dev/zero"), [], "00.png"),
    (TRAIN, link(PICTURE, "absent.png"), [], "00.png"),
    (TRAIN, link(PICTURE, "00.png"), [], "00.png"),
    (TRAIN, put("data/exclude.txt", b"\xff\xfe"), [], "exclude.txt"),
    (TRAIN, folder("s.json"), ["--split_file=s.json"], "s.json"),
    (TEST, cut(VOXELS, 60), [], "model.binvox"),
    (TEST, nothing, ["--max_views=3"], "expected 3 views"),
    (TEST, nothing, ["--thresholds=2"], "thresholds"),
    (TEST, nothing, ["--saved_models_path=/proc/absent"], "/proc/absent"),
    (DEMO, folder("a.png"), ["a.png"], "a.png"),
    (DEMO, nothing, ["ein Bild ü.png"], "ein Bild ü.png"),
    (DEMO, nothing, ["--output=/proc/absent/a.obj"], "/proc/absent"),
    (DEMO, nothing, ["--output=a.txt"], "a.txt"),
    (DEMO, folder("a.obj"), ["--output=a.obj"], "a.obj"),
    ([BUILD], nothing, [], "--out"),
    ([BUILD], nothing, ["absent", "--out=o"], "absent"),
    (["data.contact_sheet"], nothing, ["absent", "--out=a.png"], "absent"),
    (["data.check"], nothing, ["absent"], "absent"),
    *[
        (
            [BUILD],
            put("m/a.csv", text),
            ["m", "--out=o", "--categories=m/a.csv"],
            "a.csv",
        )
        for text in (b"a.off,M\xf6bel", "a.off,b,c")
    ],
    (["models.convert"], put("a.npy", b"x"), ["a.npy", "b.pth"], "a.npy"),
    (["models.convert"], put("w.pt", b"x"), ["w.pt", "b.pth"], "w.pt"),
]


def entries(root: Path) -> set[str]:
    return {str(path) for path in root.rglob("*")}


@pytest.mark.parametrize(
    ("command", "spoil", "flags", "named"),
    CASES,
    ids=[f"{number}-{case[0][0]}-{case[3]}" for number, case in enumerate(CASES)],
)
def test_bad_input_exits_with_one_line_error_and_writes_nothing(
    script, place, command, spoil, flags, named
):
    spoil()
    before = entries(place)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(60)  # a hang would end the tests
    status, _, errors = script(*command, *flags)
    signal.alarm(0)
    assert status == 2, errors
    assert errors.startswith("error: ") and errors.count("\n") == 1 and named in errors
    written = {path for path in entries(place) - before if "tensorboard" not in path}
    assert {Path(path).name for path in written} <= {"saved_models", "3d-r2n2", "config.ini"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 300_000  # kB


def lengths(content: bytes) -> range:
    return range(0, len(content), max(1, len(content) // 500))


def test_truncated_file_is_refused_or_read_whole(tmp_path, original):
    write_binvox(tmp_path / "a.binvox", np.indices((8, 8, 8)).sum(0) % 3 == 0)
    (tmp_path / "a.json").write_text(split(ENTRY))
    shutil.copy(original / "w.pth", tmp_path / "a.pth")
    index = ShapeNetIndex(tmp_path, [], [])
    readers = {
        "a.binvox": read_binvox,
        "a.json": lambda path: split_from_file(index, path),
        "a.pth": load_network,
    }
    for name, read in readers.items():
        path = tmp_path / name
        whole = path.read_bytes()
        read(path)
        for length in lengths(whole):
            path.write_bytes(whole[:length])
            with pytest.raises(InputError, match=name) as error:
                read(path)
            assert "\n" not in str(error.value)


def test_truncated_ini_is_read_or_refused_with_its_line(tmp_path):
    path = tmp_path / "a.ini"
    whole = b"# \xc3\xa4 comment\n[a]\nLR = 0.1\nnetwork = 3D-LSTM-3\nmax_views = 12\n"
    for length in lengths(whole):
        path.write_bytes(whole[:length])
        try:
            read_ini(path)
        except InputError as error:
            assert "a.ini" in str(error) and "\n" not in str(error)


def test_names_with_unicode_and_blanks_work(script, place):
    os.rename("data", "Möbel, 3 Stück")
    flags = ["--database_path=Möbel, 3 Stück", "--experiment_name=mein Versuch é"]
    assert script(*TRAIN, *flags)[0] == 0
    os.rename("saved_models/mein Versuch é/checkpoint_epoch_00000001.pth", "ein Gewicht.pth")
    shutil.copy(f"{flags[0].split('=')[1]}/{PICTURE[5:]}", "ein Bild ü.png")
    status, output, _ = script(
        "demo", "--weights=ein Gewicht.pth", "--output=der Stuhl.obj", "ein Bild ü.png"
    )
    assert status == 0 and "der Stuhl.obj" in output


def test_unwritable_folder_is_named(script, place):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    Path("locked").mkdir(mode=0o500)
    for command in (
        [*TRAIN, "--saved_models_path=locked/a"],
        [*TEST, "--saved_models_path=locked/a"],
        [*DEMO, "--output=locked/a.obj"],
    ):
        status, _, errors = script(*command)
        assert status == 2 and "locked" in errors and errors.count("\n") == 1

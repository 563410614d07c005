import numpy as np
import pytest

from utils.errors import InputError
from utils.voxels import read_binvox, write_binvox


@pytest.mark.parametrize("resolution", [1, 5, 32, 64])
@pytest.mark.parametrize("fraction", [0, 0.02, 0.5, 1])
def test_voxels_round_trip(tmp_path, resolution, fraction):
    voxels = np.random.default_rng(0).random((resolution,) * 3) < fraction
    write_binvox(tmp_path / "model.binvox", voxels)
    assert np.array_equal(read_binvox(tmp_path / "model.binvox"), voxels)


def test_raw_order_is_x_z_y(tmp_path):
    path = tmp_path / "model.binvox"
    runs = bytes([0, 4, 1, 1, 0, 3])  # index 4 = x 1, z 0, y 0 of a grid of 2
    path.write_bytes(b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n" + runs)
    assert np.argwhere(read_binvox(path)).tolist() == [[1, 0, 0]]
    path.write_bytes(path.read_bytes()[:-6] + bytes([0, 1, 1, 1, 0, 6]))  # index 1: y 1
    assert np.argwhere(read_binvox(path)).tolist() == [[0, 1, 0]]


def test_write_binvox_reproduces_official_files(real, tmp_path):
    for path in sorted(real.glob("ShapeNetVox32/*/*/model.binvox")):
        official = path.read_bytes()
        header = dict(line.split(b" ", 1) for line in official.split(b"\n")[1:4])
        translate = tuple(map(float, header[b"translate"].split()))
        write_binvox(tmp_path / "a.binvox", read_binvox(path), translate, float(header[b"scale"]))
        assert (tmp_path / "a.binvox").read_bytes() == official


GOOD = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n\x00\x08"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PNG",
        GOOD[:-2],
        GOOD[:-1],
        GOOD[:25],
        GOOD.replace(b"\x08", b"\x07"),
        GOOD.replace(b"\x08", b"\x09"),
        GOOD.replace(b"\x00\x08", b"\x02\x08"),
        GOOD + b"\x01\x00",
        GOOD.replace(b"2 2 2", b"2 2"),
        GOOD.replace(b"2 2 2", b"2 2 3"),
        GOOD.replace(b"2 2 2", b"-2 -2 -2"),
        GOOD.replace(b"2 2 2", b"100000 100000 100000"),
        GOOD.replace(b"2 2 2", b"0 0 0"),
        GOOD.replace(b"dim 2 2 2\n", b""),
    ],
)
def test_read_binvox_refuses_damaged_files(tmp_path, content):
    path = tmp_path / "model.binvox"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.binvox"):
        read_binvox(path)

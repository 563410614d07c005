"""Damaged files: each reader reads any bytes or refuses them in one line.

`python -m pytest tests/test_fuzz.py --hypothesis-profile=long` tries a million inputs.
"""

import json
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.shapenet import ShapeNetIndex
from data.splits import split_from_file
from utils.config import read_ini
from utils.errors import InputError
from utils.voxels import read_binvox, write_binvox

INTERESTING = [0, 1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1]
integers = st.sampled_from([struct.pack(f, n % 2 ** (8 * struct.calcsize(f)))
                            for f in ("<B", "<I", "<Q") for n in INTERESTING])  # fmt: skip
words = st.sampled_from([b"-1", b"nan", b"1e999", b"99999999999", b"\x00", b"=", b"[", b'"', b"\n"])
pieces = st.one_of(st.binary(max_size=8), integers, words)
change = st.tuples(st.floats(0, 1), st.integers(0, 12), pieces)


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes, or those of a good file with up to six places cut out and replaced."""

    def apply(changes):
        content = bytearray(whole)
        for where, length, piece in changes:
            start = int(where * len(content))
            content[start : start + length] = piece
        return bytes(content)

    return st.one_of(st.lists(change, max_size=6).map(apply), st.binary(max_size=300))


def good_binvox(path) -> bytes:
    write_binvox(path, np.indices((6, 6, 6)).sum(0) % 4 == 0)
    return path.read_bytes()


def good_ini(_path) -> bytes:
    return b"[a]\nLR = 0.1  # rate\nnetwork = 3D-GRU-3\nthresholds = 0.1:0.5:0.1,0.7\nseed = 3\n"


def good_split(_path) -> bytes:
    entry = {"taxonomy_id": "a", "train": ["x", "y"], "val": ["z"], "test": []}
    return json.dumps([entry, {**entry, "taxonomy_id": "b"}]).encode()


def read_split(path):
    split_from_file(ShapeNetIndex(path, ["a/x"], [{0: "00.png"}]), path)


READERS = {
    "binvox": (good_binvox, read_binvox),
    "ini": (good_ini, read_ini),
    "split": (good_split, read_split),
}


@pytest.mark.parametrize("kind", READERS)
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, kind):
    good, read = READERS[kind]
    path = tmp_path / "file"

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(damaged(good(path)))
    def attempt(content):
        path.write_bytes(content)
        try:
            read(path)
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)

    attempt()

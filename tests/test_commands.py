"""The commands of `data` as a user mistypes them."""

import sys

import pytest

from data import check
from data.builder import __main__ as build
from data.builder import synthetic
from utils.errors import InputError


@pytest.mark.parametrize(
    ("command", "flags", "named"),
    [
        (build, ["--views=0"], "--views"),
        (build, ["--resolution=100000"], "--resolution"),
        (build, ["--variants=-1"], "--variants"),
        (build, ["--seed=-1"], "--seed"),
        (build, ["--processes=0"], "--processes"),
        (build, [], "absent"),
        (synthetic, ["--models=0"], "--models"),
        (synthetic, ["--seed=-1"], "--seed"),
        (check, ["--processes=0"], "--processes"),
    ],
)
def test_number_out_of_range_is_named_and_nothing_is_written(
    monkeypatch, tmp_path, command, flags, named
):
    monkeypatch.chdir(tmp_path)
    place = {build: ["absent", "--out=a"], synthetic: ["--out=a"], check: ["absent"]}
    arguments = place.get(command, ["absent", "--out=a.png"])
    monkeypatch.setattr(sys, "argv", ["command", *arguments, *flags])
    with pytest.raises(InputError) as error:
        command.main()
    assert named in str(error.value)
    assert not list(tmp_path.iterdir())

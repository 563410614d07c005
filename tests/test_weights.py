"""Weight files load into the network that was saved, or end in one line that names the problem."""

import os
from functools import reduce

import pytest
import torch

from models import NETWORKS, R2N2, load_network, save_network
from models.weights import network_state, write_torch
from tests.helpers import PRETRAINED
from utils.errors import InputError

SMALL = {"width": 1 / 16, "leaky_slope": 0.1, "unpooling": "zero"}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_saved_network_loads_the_same(tmp_path, name, suffix):
    network = R2N2(name, resolution=64, **SMALL)
    network.threshold = 0.35
    save_network(tmp_path / f"a.{suffix}", network)
    loaded = load_network(tmp_path / f"a.{suffix}")
    assert (loaded.name, loaded.options, loaded.training) == (name, network.options, False)
    assert loaded.threshold == 0.35
    images = torch.rand(1, 2, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(loaded(images), network.eval()(images))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_half_precision_loads_as_float32(tmp_path, suffix):
    network = R2N2("3D-LSTM-3", **SMALL)
    save_network(tmp_path / f"a.{suffix}", network, half=True)
    for key, value in load_network(tmp_path / f"a.{suffix}").state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, network.state_dict()[key].half().float())


def test_bundled_weights_are_small_and_load_as_float32():
    assert PRETRAINED.stat().st_size <= 16 * 2**20
    assert {p.dtype for p in load_network(PRETRAINED).parameters()} == {torch.float32}


BIAS = "weights", "encoder.fc.bias"


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (BIAS, torch.zeros(3), r"encoder\.fc\.bias: expected shape \(64,\), got shape \(3,\)"),
        (BIAS, None, r"encoder\.fc\.bias: .*got nothing"),
        (BIAS, torch.zeros(64, dtype=torch.int8), r"encoder\.fc\.bias: .*int8"),
        (BIAS, torch.full((64,), torch.nan), r"encoder\.fc\.bias: .*not finite"),
        (BIAS, torch.full((64,), 1e300, dtype=torch.float64), r"encoder\.fc\.bias: .*not finite"),
        (("weights", "extra"), torch.zeros(1), "extra: expected no such parameter"),
        (("network", "name"), "3D-LSTM-2", "3D-LSTM-2"),
        (("network", "options", "depth"), 3, "depth"),
        (("network", "options", "width"), 1e6, "width"),
        (("network", "options", "image_size"), "13000", "invalid network"),
        (("format",), "other", "weights or a checkpoint"),
    ],
)
def test_file_that_does_not_fit_is_an_error_naming_what(tmp_path, keys, value, named):
    content = network_state(R2N2("3D-LSTM-3", **SMALL))
    *path, last = keys
    reduce(dict.__getitem__, path, content)[last] = value
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=rf"bad\.pth: .*{named}") as error:
        load_network(tmp_path / "bad.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["bad.pth", "bad.safetensors", "bad.npy"])
def test_what_is_there_in_place_of_weights_is_named(tmp_path, name):
    path, good = tmp_path / name, tmp_path / name.replace("bad.npy", "good.pth")
    save_network(good, R2N2("3D-LSTM-3", **SMALL))
    whole = good.read_bytes()
    for content, named in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html>", "web page .*download"),
        (b"", "empty file"),
        (whole[:100], "damaged"),
        (whole[: len(whole) // 2], "damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: .*{named}") as error:
            load_network(path)
        assert "\n" not in str(error.value)


def test_safetensors_of_other_projects_are_an_error(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="expected weights of this project"):
        load_network(tmp_path / "a.safetensors")


class MakeDirectory:
    """Make a directory when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_file_with_code_runs_none(tmp_path):
    write_torch(tmp_path / "bad.pth", {"weights": MakeDirectory(tmp_path / "made")})
    with pytest.raises(InputError, match=r"bad\.pth"):
        load_network(tmp_path / "bad.pth")
    assert not (tmp_path / "made").exists()
    torch.load(tmp_path / "bad.pth", weights_only=False)
    assert (tmp_path / "made").exists()  # so the file was a real attack

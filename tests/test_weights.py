"""Weight files load into the network that was saved, or end in one line that names the problem."""

import io
import os
import zipfile

import pytest
import torch

from models import NETWORKS, build_network, load_network, save_network, weights
from models.weights import network_state, write_torch
from tests.helpers import ROOT
from utils.errors import InputError

SMALL = {"width": 1 / 16, "leaky_slope": 0.1, "unpooling": "zero"}


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_network_loads_the_same(tmp_path, name):
    network = build_network(name, **SMALL)
    save_network(tmp_path / "a.pth", network)
    loaded = load_network(tmp_path / "a.pth")
    assert (loaded.name, loaded.options, loaded.training) == (name, network.options, False)
    assert network.options == {"image_size": 128, "pool_padding": 0, "resolution": 32, **SMALL}
    images = torch.rand(1, 2, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(loaded(images), network.eval()(images))


def test_half_precision_loads_as_float32(tmp_path):
    network = build_network("3D-LSTM-3", **SMALL).half()
    save_network(tmp_path / "a.pth", network)
    for key, value in load_network(tmp_path / "a.pth").state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, network.state_dict()[key].float())


def test_bundled_file_is_small_and_loads_as_float32():
    path = ROOT / "models" / "pretrained" / "3d-lstm-3.pth"
    assert path.stat().st_size <= 16 * 2**20
    assert {p.dtype for p in load_network(path).parameters()} == {torch.float32}


def test_failed_save_keeps_the_existing_file(tmp_path, monkeypatch):
    network = build_network("3D-GRU-3", **SMALL)
    save_network(tmp_path / "a.pth", network)
    before = (tmp_path / "a.pth").read_bytes()

    def full_disk(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_network(tmp_path / "a.pth", network)
    assert (tmp_path / "a.pth").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.pth"]


def nested(*keys):
    """Return a function that sets content[key][key]... to a value."""
    *path, last = keys

    def change(content, value):
        for key in path:
            content = content[key]
        content[last] = value

    return change


WEIGHT = nested("weights", "encoder.fc.bias")


def option(name):
    return nested("network", "options", name)


@pytest.mark.parametrize(
    ("change", "value", "named"),
    [
        (WEIGHT, torch.zeros(3), r"encoder\.fc\.bias: .*\(64,\).*\(3,\)"),
        (WEIGHT, 1, r"encoder\.fc\.bias"),
        (WEIGHT, None, r"encoder\.fc\.bias"),
        (WEIGHT, torch.zeros(64, dtype=torch.int8), r"encoder\.fc\.bias"),
        (WEIGHT, torch.zeros(64).to(torch.float8_e4m3fn), r"encoder\.fc\.bias: .*float8"),
        (WEIGHT, torch.zeros(64, device="meta"), r"encoder\.fc\.bias: .*meta"),
        (WEIGHT, torch.zeros(64).to_sparse(), r"encoder\.fc\.bias"),
        (WEIGHT, torch.full((64,), torch.nan), r"encoder\.fc\.bias: .*not finite"),
        (WEIGHT, torch.full((64,), torch.inf), r"encoder\.fc\.bias: .*not finite"),
        (nested("weights", "extra"), torch.zeros(1), "extra"),
        (nested("network", "name"), "3D-LSTM-2", "3D-LSTM-2"),
        (option("depth"), 3, "depth"),
        (option("width"), 1e6, "width"),
        (option("width"), "wide", "width"),
        (option("leaky_slope"), [1], "leaky_slope"),
        (option("pool_padding"), 5, "pool_padding"),
        (option("image_size"), 13000, "image_size"),
        (nested("network"), 3, "network"),
        (nested("weights"), 4, "network"),
        (nested("format"), "other", "weights or a checkpoint"),
    ],
)
def test_file_that_does_not_fit_is_an_error_naming_what(tmp_path, change, value, named):
    content = network_state(build_network("3D-LSTM-3", **SMALL))
    change(content, value)
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=rf"bad\.pth: .*{named}") as error:
        load_network(tmp_path / "bad.pth")
    assert "\n" not in str(error.value)


def test_truncated_or_damaged_file_is_an_error(tmp_path):
    save_network(tmp_path / "good.pth", build_network("3D-LSTM-3", **SMALL))
    good = (tmp_path / "good.pth").read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for content in (*(good[:n] for n in (0, 1, 100, len(good) // 2, len(good) - 1)), flipped):
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.pth") as error:
            load_network(tmp_path / "bad.pth")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_compressed_archive_is_an_error_before_it_is_unpacked(tmp_path, monkeypatch, compression):
    file = io.BytesIO()
    torch.save({"weights": torch.zeros(2**20)}, file)
    with (
        zipfile.ZipFile(file) as source,
        zipfile.ZipFile(tmp_path / "bad.pth", "w", compression) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    monkeypatch.setattr(weights.torch, "load", lambda *_, **__: pytest.fail("unpacked"))
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda _: pytest.fail("unpacked"))
    with pytest.raises(InputError, match=r"bad\.pth"):
        load_network(tmp_path / "bad.pth")


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


@pytest.mark.parametrize("option", ["image_size", "pool_padding", "unpooling", "resolution"])
def test_options_of_another_type_are_an_error(tmp_path, option):
    content = network_state(build_network("3D-GRU-1", **SMALL))
    content["network"]["options"][option] = torch.tensor([0, 32])
    write_torch(tmp_path / "a.pth", content)
    with pytest.raises(InputError, match=f"a\\.pth: .*{option}"):
        load_network(tmp_path / "a.pth")

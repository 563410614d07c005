"""Third-party weights are read without running code; tests/test_golden.py has their predictions."""

import io
import pickle

import numpy as np
import pytest
import torch

from models import build_network, convert, load_network
from models.convert import PORT_LAYERS, read_object_array
from models.weights import network_state, read_torch, write_torch
from tests.test_weights import MakeDirectory
from utils.errors import InputError


def npy(payload: bytes, shape=(33,)) -> bytes:
    """Return a .npy file of objects with this pickle."""
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + payload


class Forged:
    """Pickles as an array with another content."""

    def __init__(self, shape, dtype, content):
        self.state = (1, shape, np.dtype(dtype), False, content)

    def __reduce__(self):
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        npy(b""),
        npy(pickle.dumps([1, 2])),
        npy(pickle.dumps(np.zeros(33))),
        npy(pickle.dumps(np.array([np.zeros(2), "a"] + [0] * 31, dtype=object))),
        npy(b"\x80\x02r\xff\xff\xff\x7f"),  # a memo of two billion entries
        npy(b"\x80\x04\x8e\x00\x00\x00\x00\x00\x01\x00\x00"),  # bytes of a terabyte
        npy(b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00"),  # a bytearray of a terabyte
        npy(b"cbuiltins\neval\n(S'1'\ntR."),
        npy(b"cnumpy._core.os\nsystem\n(S'true'\ntR."),
        npy(pickle.dumps(Forged((33,), "O", b"x" * 33 * 8))),  # addresses in place of objects
        npy(pickle.dumps(Forged((10**10,), "O", [])), shape=(10**10,)),
        npy(pickle.dumps(Forged((33,), "O", [Forged((10**10,), "f4", b"x" * 4)] * 33))),
        npy(pickle.dumps(Forged((33,), "O", [np.zeros(1000, np.float32)] * 33))),  # 33 times one
        npy(b"cnumpy\nndarray\n((I1000000000000\ntR."),
    ],
)
def test_hostile_object_array_is_an_error(tmp_path, content):
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.npy"):
        load_network(tmp_path / "bad.npy")


def test_object_array_with_code_runs_none(tmp_path):
    arrays = np.empty(33, object)
    arrays[:] = [MakeDirectory(tmp_path / "made")] * 33
    np.save(tmp_path / "bad.npy", arrays, allow_pickle=True)
    with pytest.raises(InputError, match=r"bad\.npy"):
        load_network(tmp_path / "bad.npy")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_arrays_pickled_by_older_versions_are_read(tmp_path, protocol, core):
    arrays = np.empty(4, object)
    arrays[:] = [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.zeros(1),
        np.ones((1, 2, 3), np.float16),
        np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)),
    ]
    payload = pickle.dumps(arrays, protocol)
    if protocol < 4:  # from 4 on, names have their length before them
        payload = payload.replace(b"numpy._core", core)
    (tmp_path / "a.npy").write_bytes(npy(payload, shape=(4,)))
    for array, expected in zip(read_object_array(tmp_path / "a.npy"), arrays, strict=True):
        assert np.array_equal(array, expected)


def write_port_files(folder, **changes):
    """Write the three files of the PyTorch port, with zeros of wrong shapes."""
    files = {"encoder": {}, "convrnn": {}, "decoder": {}}
    for layer in PORT_LAYERS:
        file, _, name = layer.partition(".")
        files[file] |= {f"{name}.weight": torch.zeros(1), f"{name}.bias": torch.zeros(1)}
    files["encoder"] |= changes
    for file, weights in files.items():
        torch.save(weights, folder / f"{file}_epoch_00000060.pth")


def test_wrong_parameter_of_the_port_is_named(tmp_path):
    path = tmp_path / "decoder_epoch_00000060.pth"
    write_port_files(tmp_path)
    with pytest.raises(InputError, match=r"decoder\.conv1\.bias: .*\(128,\).*\(1,\)"):
        load_network(path)
    write_port_files(tmp_path, **{"fc2.bias": torch.zeros(1)})
    with pytest.raises(InputError, match=r"encoder_epoch_00000060.*fc2\.bias"):
        load_network(path)
    (tmp_path / "encoder_epoch_00000060.pth").unlink()
    with pytest.raises(FileNotFoundError, match="encoder_epoch_00000060"):
        load_network(path)


def test_wrong_array_of_theano_is_named(tmp_path):
    arrays = np.empty(33, object)
    for k, (_, convert_array) in enumerate(
        convert._theano_parameters(convert.SHALLOW_ENCODER, convert.SHALLOW_DECODER)
    ):
        shapes = {"_conv2d": (1,) * 4, "_conv3d": (1,) * 5, "_input": (1, 64), "transpose": (1, 1)}
        arrays[k] = np.zeros(shapes.get(convert_array.__name__, (1,)), np.float32)

    def error(arrays) -> str:
        np.save(tmp_path / "a.npy", arrays, allow_pickle=True)
        with pytest.raises(InputError, match=r"a\.npy: ") as error:
            load_network(tmp_path / "a.npy")
        return str(error.value)

    assert "decoder.conv1.bias: expected shape (128,), got (1,)" in error(arrays)
    arrays[0] = np.zeros(5, np.float32)
    assert "array 0 (encoder.conv1.weight)" in error(arrays)
    assert "got 32" in error(arrays[:32])


def test_convert_extracts_half_precision_weights_with_a_threshold(script, tmp_path):
    network, paths = build_network("3D-GRU-1", width=1 / 16), [tmp_path / f"{n}.pth" for n in "ab"]
    write_torch(paths[0], network_state(network) | {"optimizer": {"state": {}}})
    status, output, _ = script("models.convert", *paths, "--half", "--threshold=0.3")
    assert status == 0 and "3D-GRU-1" in output
    content, loaded = read_torch(paths[1]), load_network(paths[1])
    assert "optimizer" not in content and loaded.threshold == 0.3
    for key, value in network.state_dict().items():
        assert content["weights"][key].dtype == torch.float16
        assert torch.equal(loaded.state_dict()[key], value.half().float())


@pytest.mark.parametrize("threshold", ["0", "1.5", "nan"])
def test_convert_refuses_impossible_thresholds(script, tmp_path, threshold):
    write_torch(tmp_path / "a.pth", network_state(build_network("3D-GRU-1", width=1 / 16)))
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    status, _, errors = script("models.convert", *paths, f"--threshold={threshold}")
    assert status == 2 and "--threshold" in errors and not paths[1].exists()


def test_stored_threshold_out_of_range_is_an_error(tmp_path):
    state = network_state(build_network("3D-GRU-1", width=1 / 16))
    for threshold in (-1, 2, float("nan"), "a", None):
        write_torch(tmp_path / "a.pth", state | {"threshold": threshold})
        with pytest.raises(InputError, match=r"a\.pth: .*threshold"):
            load_network(tmp_path / "a.pth")

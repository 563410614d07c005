"""Third-party weights are read without running code; tests/test_golden.py has their predictions."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models import load_network, save_network
from models.convert import read_object_array
from models.weights import network_state, read_safetensors, write_torch
from tests.helpers import small_network
from tests.test_golden import write_port_files, write_theano_file
from tests.test_weights import MakeDirectory
from utils.errors import InputError


def save_objects(path, objects):
    array = np.empty(len(objects), object)
    array[:] = objects
    np.save(path, array, allow_pickle=True)


def test_object_array_with_code_runs_none(tmp_path):
    save_objects(tmp_path / "bad.npy", [MakeDirectory(tmp_path / "made")] * 33)
    with pytest.raises(InputError, match=r"bad\.npy"):
        load_network(tmp_path / "bad.npy")
    assert not (tmp_path / "made").exists()


class Flagless:
    """Pickles as a dtype of objects that lets NumPy take bytes as their addresses."""

    def __reduce__(self):
        return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)


def test_bytes_are_never_taken_as_addresses(tmp_path):
    state = (1, (33,), Flagless(), False, b"x" * 33 * 8)

    class Forged:
        def __reduce__(self):
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), state

    save_objects(tmp_path / "a.npy", [0] * 33)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:128] + pickle.dumps(Forged()))
    with pytest.raises(InputError, match=r"a\.npy"):
        load_network(tmp_path / "a.npy")


@pytest.mark.parametrize("protocol", [0, 2])
def test_arrays_pickled_by_older_versions_are_read(tmp_path, protocol):
    arrays = [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.zeros(1),
        np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)),
    ]
    save_objects(tmp_path / "a.npy", arrays)
    content = (tmp_path / "a.npy").read_bytes()
    payload = pickle.dumps(np.load(tmp_path / "a.npy", allow_pickle=True), protocol)
    payload = payload.replace(b"numpy._core", b"numpy.core")
    (tmp_path / "a.npy").write_bytes(content[:128] + payload)
    with open(tmp_path / "a.npy", "rb") as file:
        for array, expected in zip(read_object_array(file), arrays, strict=True):
            assert np.array_equal(array, expected)


def test_wrong_parameter_of_the_port_is_named(tmp_path):
    path = write_port_files(tmp_path)
    encoder = path.with_name("encoder_epoch_00000060.pth")
    weights = torch.load(encoder)
    torch.save(weights | {"conv1.bias": torch.zeros(1)}, encoder)
    with pytest.raises(InputError, match=r"encoder\.conv1\.bias: .*\(96,\).*\(1,\)"):
        load_network(path)
    torch.save(weights | {"fc2.bias": torch.zeros(1)}, encoder)
    with pytest.raises(InputError, match=r"encoder_epoch_00000060.*fc2\.bias"):
        load_network(path)
    encoder.unlink()
    with pytest.raises(FileNotFoundError, match="encoder_epoch_00000060"):
        load_network(path)


def test_wrong_array_of_theano_is_named(tmp_path):
    path = write_theano_file(tmp_path, "theano_3d-gru-3")
    arrays = np.load(path, allow_pickle=True)
    arrays[1] = np.zeros(5, np.float32)
    np.save(path, arrays, allow_pickle=True)
    with pytest.raises(InputError, match=r"encoder\.conv1\.bias: expected shape \(96,\), got"):
        load_network(path)
    np.save(path, arrays[:32], allow_pickle=True)
    with pytest.raises(InputError, match="expected the official Theano weights"):
        load_network(path)


def test_convert_extracts_half_precision_weights_with_a_threshold(output_of, error_of, tmp_path):
    network = small_network("3D-GRU-1")
    source, out = tmp_path / "checkpoint_epoch_00000002.pth", tmp_path / "b.safetensors"
    write_torch(source, network_state(network) | {"optimizer": {"state": {}}})
    assert "3D-GRU-1" in output_of("models.convert", source, out, "--half", "--threshold=0.3")
    assert load_network(out).threshold == 0.3
    for key, value in read_safetensors(out)["weights"].items():
        assert torch.equal(value, network.state_dict()[key].half())
    assert source.name in output_of("models.convert", tmp_path, tmp_path / "d.safetensors")
    for flag in ("--threshold=nan", "--threshold=0"):
        assert "--threshold" in error_of("models.convert", source, tmp_path / "c.pth", flag)
    error = error_of("models.convert", source, tmp_path / "c.h5")
    assert "c.h5" in error and ".safetensors" in error
    assert not [*tmp_path.glob("c.*")]


@pytest.mark.filterwarnings("ignore")  # torch warns about its own parts
@pytest.mark.parametrize("name", ["3D-LSTM-3", "Res3D-GRU-3"])
def test_onnx_gives_the_same_for_any_number_of_views(output_of, name):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = small_network(name).eval()
    save_network("a.pth", network)
    output_of("models.convert", "a.pth", "a.onnx", "--threshold=0.3")
    session = runtime.InferenceSession("a.onnx")
    assert session.get_modelmeta().custom_metadata_map == {"network": name, "threshold": "0.3"}
    for batch_size, num_views in ((1, 1), (1, 5), (3, 2)):
        images = torch.rand(batch_size, num_views, 3, 128, 128)
        (occupancy,) = session.run(None, {"images": images.numpy()})
        with torch.no_grad():
            expected = network(images).softmax(1)[:, 1].numpy()
        assert np.abs(occupancy - expected).max() < 1e-4


def test_onnx_without_its_package_is_an_error(error_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    save_network("a.pth", small_network("3D-GRU-1"))
    assert "pip install onnx onnxscript" in error_of("models.convert", "a.pth", "a.onnx")
    assert not Path("a.onnx").exists()

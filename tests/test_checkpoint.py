import io
import json
import os
import pickle

import numpy as np
import pytest
import torch

from models import NETWORKS, build_network, weights
from models import convert as legacy
from models.weights import network_state, save_network
from tests.helpers import assert_same
from utils import checkpoint, shrink
from utils.checkpoint import (
    Progress,
    find_weights,
    load_checkpoint,
    load_network,
    restore,
    save_checkpoint,
)
from utils.engine import make_optimizer
from utils.errors import InputError

SMALL = {"width": 1 / 16, "leaky_slope": 0.1, "unpooling": "zero"}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_from_its_file_alone(tmp_path, name):
    network = build_network(name, **SMALL)
    save_network(tmp_path / "a.pth", network)
    again = load_network(tmp_path / "a.pth")
    assert (again.name, again.options, again.training) == (name, network.options, False)
    assert network.options == {"image_size": 128, "pool_padding": 0, **SMALL}
    images = torch.rand(1, 2, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(again(images), network.eval()(images))


def test_checkpoint_restores_network_optimizer_scaler_and_progress(tmp_path):
    network = build_network("3D-GRU-3", **SMALL)
    optimizer = make_optimizer(network, 0.1, 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    network(torch.rand(1, 1, 3, 128, 128)).mean().backward()
    optimizer.step()
    path = tmp_path / "checkpoint_epoch_00000003.pth"
    extra = {"metrics": {"val": {"iou": 0.5}}, "config": {"seed": 1}}
    progress = Progress(epoch=3, step=7, batches=2, totals=torch.tensor([1.0, 2.0, 3.0]))
    save_checkpoint(path, network, optimizer, scaler, progress, **extra)
    again, content = load_checkpoint(path)
    assert {key: content[key] for key in extra} == extra
    assert content["scaler"]["scale"] == 8.0
    other = make_optimizer(again, 0.2, 0.3)
    assert_same(vars(restore(path, content, other, scaler)), vars(progress))
    for a, b in zip(optimizer.state.values(), other.state.values(), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in ("step", "exp_avg", "exp_avg_sq"))
    assert [g["weight_decay"] for g in other.param_groups] == [0.3, 0.0]  # what was asked for
    load_network(path)
    with pytest.raises(InputError, match="resume"):
        save_network(tmp_path / "a.pth", network)
        load_checkpoint(tmp_path / "a.pth")


def test_a_failed_save_leaves_the_file_that_was_there(tmp_path, monkeypatch):
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


def test_which_weights_are_taken(tmp_path):
    for epoch in (2, 10):
        checkpoint.checkpoint_path(tmp_path, epoch).touch()
    second, tenth = (checkpoint.checkpoint_path(tmp_path, epoch) for epoch in (2, 10))
    other = tmp_path / "other.pth"
    assert find_weights(tmp_path, "", 0) == tenth
    assert find_weights(tmp_path, "", "last") == tenth
    assert find_weights(tmp_path, "", 2) == second
    assert find_weights(tmp_path, str(other), 2) == other
    assert find_weights(tmp_path / "absent", str(tmp_path), 2) == second
    assert find_weights(tmp_path, "", 0, otherwise=other) == other
    assert find_weights(tmp_path, "", 2, otherwise=other) == second
    with pytest.raises(InputError, match=r"epoch 3 .*_00000010"):
        find_weights(tmp_path, "", 3)
    with pytest.raises(InputError, match=r"train\.py"):
        find_weights(tmp_path / "absent", "", 0)


def damaged(change):
    content = network_state(build_network("3D-LSTM-3", **SMALL))
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["weights"].pop("encoder.fc.bias"), "encoder.fc.bias"),
        (lambda c: c["weights"].update(extra=torch.zeros(1)), "extra"),
        (lambda c: c["weights"].update({"encoder.fc.bias": torch.zeros(3)}), r"\(64,\).*\(3,\)"),
        (lambda c: c["weights"].update({"encoder.fc.bias": 1}), "encoder.fc.bias"),
        (lambda c: c["network"].update(name="3D-LSTM-2"), "3D-LSTM-2"),
        (lambda c: c["network"]["options"].update(depth=3), "depth"),
        (lambda c: c["network"]["options"].update(width=1e6), "expected"),
        (lambda c: c["network"]["options"].update(width="wide"), "expected"),
        (lambda c: c.pop("network"), "network"),
        (lambda c: c.pop("weights"), "weights"),
        (lambda c: c.pop("format"), "checkpoint of this project"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, change, named):
    torch.save(damaged(change), tmp_path / "bad.pth")
    with pytest.raises(InputError, match=rf"bad\.pth.*{named}"):
        load_network(tmp_path / "bad.pth")


def test_a_truncated_checkpoint_is_refused_in_one_line(tmp_path):
    save_network(tmp_path / "good.pth", build_network("3D-LSTM-3", **SMALL))
    good = (tmp_path / "good.pth").read_bytes()
    for length in (0, 1, 100, len(good) // 2, len(good) - 1):
        (tmp_path / "bad.pth").write_bytes(good[:length])
        with pytest.raises(InputError, match=r"bad\.pth") as error:
            load_network(tmp_path / "bad.pth")
        assert "\n" not in str(error.value)


class Spy:
    """What a hostile file would pickle: unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, kind):
    trap = tmp_path / "sprung"
    if kind == "torch":
        path = tmp_path / "bad.pth"
        torch.save({"weights": Spy(trap)}, path)
    else:
        path = tmp_path / "bad.npy"
        arrays = np.empty(33, object)
        arrays[:] = [Spy(trap)] * 33
        np.save(path, arrays, allow_pickle=True)
    with pytest.raises(InputError, match=path.name):
        load_network(path)
    assert not trap.exists()
    with open(path, "rb") as file:
        torch.load(file, weights_only=False) if kind == "torch" else np.load(
            file, allow_pickle=True
        )
    assert trap.exists(), "the trap would have worked"


def npy(payload: bytes, shape=(33,)) -> bytes:
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + payload


class Forged:
    """Pickles as an array of what is not its content."""

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
        npy(b"\x80\x02r\xff\xff\xff\x7f"),  # a memo of two thousand million places
        npy(b"\x80\x04\x8e\x00\x00\x00\x00\x00\x01\x00\x00"),  # bytes of a terabyte
        npy(b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00"),  # a bytearray of a terabyte
        npy(b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR."),
        npy(b"cbuiltins\neval\n(S'1'\ntR."),
        npy(pickle.dumps(Forged((33,), "O", b"x" * 33 * 8))),  # addresses in place of objects
        npy(pickle.dumps(Forged((10**10,), "O", [])), shape=(10**10,)),
        npy(pickle.dumps(Forged((33,), "O", [Forged((10**10,), "f4", b"x" * 4)] * 33))),
        npy(pickle.dumps(Forged((33,), "O", [np.zeros(1000, np.float32)] * 33))),  # 33 times one
        npy(b"cnumpy\nndarray\n((I1000000000000\ntR."),
    ],
)
def test_a_hostile_object_array_is_refused_by_name(tmp_path, content):
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.npy"):
        load_network(tmp_path / "bad.npy")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_arrays_pickled_by_older_versions_are_read(tmp_path, protocol, core):
    arrays = np.empty(3, object)
    arrays[:] = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(1), np.ones((1, 2, 3))]
    payload = pickle.dumps(arrays, protocol)
    if protocol < 4:  # names stand there without their length
        payload = payload.replace(b"numpy._core", core)
    (tmp_path / "a.npy").write_bytes(npy(payload, shape=(3,)))
    for found, expected in zip(legacy.read_object_array(tmp_path / "a.npy"), arrays, strict=True):
        assert np.array_equal(found, expected) and found.dtype == np.float32


# The golden outputs: weights and pictures by recipe, predictions by the code of others.


def golden_weights(shape, number, is_bias, theano):
    if is_bias:
        mean, deviation = (0.1, 0.2) if theano else (0.05, 0.1)
        return np.random.RandomState(9000 + number).normal(mean, deviation, shape)
    count = np.prod(shape[1:])
    if theano:
        inputs = shape[2] if len(shape) == 5 else shape[1]
        count = (count + np.prod(shape) / inputs) / 2
    return np.random.RandomState(1000 + number).normal(0, np.sqrt(2 / count), shape)


@pytest.fixture(scope="module")
def seed_files(golden, tmp_path_factory):
    folder, parts = tmp_path_factory.mktemp("seed"), {}
    for entry in json.loads((golden / "seed_lstm3.params.json").read_text()):
        weights = golden_weights(
            entry["shape"], entry["index"], entry["key"].endswith("bias"), theano=False
        )
        parts.setdefault(entry["file"], {})[entry["key"]] = torch.from_numpy(weights).float()
    for part, weights in parts.items():
        torch.save(weights, folder / f"{part}_epoch_00000060.pth")
    return folder


def theano_file(golden, folder, name):
    entries = json.loads((golden / f"{name}.params.json").read_text())
    arrays = np.empty(len(entries), object)
    for entry in entries:
        weights = golden_weights(entry["shape"], entry["i"], entry["is_bias"], theano=True)
        arrays[entry["i"]] = weights.astype(np.float32)
    np.save(folder / f"{name}.npy", arrays, allow_pickle=True)
    return folder / f"{name}.npy"


def assert_golden(network, images, expected):
    for dtype, tolerance in ((torch.float32, 5e-6), (torch.float64, 1e-6)):
        with torch.no_grad():
            logits = network.to(dtype)(torch.from_numpy(images).to(dtype))
        assert np.abs(logits.softmax(1)[:, 1].numpy() - expected).max() <= tolerance


def test_the_seed_network_predicts_what_the_seed_does(golden, seed_files):
    images = np.random.RandomState(123).rand(2, 3, 3, 128, 128).astype(np.float32)
    expected = np.load(golden / "seed_lstm3.b2.v3.npz")["occupied"]
    for part in ("encoder", "convrnn", "decoder"):
        network = load_network(seed_files / f"{part}_epoch_00000060.pth")
    assert_golden(network, images, expected)
    assert find_weights(seed_files, "", 60).name.endswith("_epoch_00000060.pth")


@pytest.mark.parametrize("name", ["theano_gru3", "theano_res_gru3"])
def test_the_authors_networks_predict_what_their_code_does(golden, tmp_path, name):
    images = np.random.RandomState(123).rand(3, 1, 3, 127, 127).astype(np.float32)
    expected = np.load(golden / f"{name}.v3.b1.npz")["occupied"]
    path = theano_file(golden, tmp_path, name)
    network = load_network(path)
    assert_golden(network, images.swapaxes(0, 1), expected)
    legacy.convert(path, tmp_path / "converted.pth")
    converted = load_network(tmp_path / "converted.pth")
    assert (converted.name, converted.options) == (network.name, network.options)
    assert_golden(converted, images.swapaxes(0, 1), expected)


def test_the_wrong_parameter_of_a_foreign_file_is_named(golden, tmp_path, seed_files):
    weights = torch.load(seed_files / "encoder_epoch_00000060.pth", weights_only=True)
    for part in ("convrnn", "decoder"):
        (tmp_path / f"{part}_epoch_00000060.pth").symlink_to(
            seed_files / f"{part}_epoch_00000060.pth"
        )
    weights["fc1.bias"] = torch.zeros(5)
    torch.save(weights, tmp_path / "encoder_epoch_00000060.pth")
    with pytest.raises(InputError, match=r"encoder\.fc\.bias: .*\(1024,\).*\(5,\)"):
        load_network(tmp_path / "decoder_epoch_00000060.pth")
    (tmp_path / "encoder_epoch_00000060.pth").unlink()
    with pytest.raises(FileNotFoundError, match="encoder_epoch_00000060"):
        load_network(tmp_path / "decoder_epoch_00000060.pth")

    path = theano_file(golden, tmp_path, "theano_gru3")
    arrays = np.load(path, allow_pickle=True)
    arrays[14] = arrays[14][:, :1]
    np.save(path, arrays, allow_pickle=True)
    with pytest.raises(InputError, match=r"array 14 \(update\.hidden\)"):
        load_network(path)
    np.save(path, arrays[:32], allow_pickle=True)
    with pytest.raises(InputError, match="32"):
        load_network(path)


def test_a_shrunk_network_is_small_and_predicts_nearly_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "LARGE", 1000)
    torch.manual_seed(0)
    network = build_network("3D-LSTM-3", **SMALL).eval()
    save_network(tmp_path / "a.pth", network)
    monkeypatch.setattr(
        "sys.argv", ["shrink", str(tmp_path / "a.pth"), f"--out={tmp_path / 'b.pth'}"]
    )
    shrink.main()
    sizes = [(tmp_path / name).stat().st_size for name in ("a.pth", "b.pth")]
    assert sizes[1] < 0.45 * sizes[0]
    again, images = load_network(tmp_path / "b.pth"), torch.rand(2, 2, 3, 128, 128)
    assert all(value.dtype == torch.float32 for value in again.state_dict().values())
    matrix, before = again.recurrence.input.weight, network.recurrence.input.weight
    steps = before.abs().amax(1, keepdim=True) / 127
    assert ((matrix - before).abs() <= 0.51 * steps + 1e-6).all()
    with torch.no_grad():
        difference = (again(images).softmax(1) - network(images).softmax(1)).abs().max()
    assert 0 < difference < 0.01


def test_of_several_checkpoints_the_mean_is_shrunk(tmp_path, monkeypatch):
    paths, values = [str(tmp_path / f"{number}.pth") for number in range(3)], []
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        save_network(path, network := build_network("3D-LSTM-3", **SMALL))
        values.append(network.state_dict())
    monkeypatch.setattr("sys.argv", ["shrink", *paths, f"--out={tmp_path / 'mean.pth'}"])
    shrink.main()
    for key, found in load_network(tmp_path / "mean.pth").state_dict().items():
        expected = sum(value[key] for value in values) / 3
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-6), key


def test_a_mean_of_different_networks_is_refused_with_what_differs(tmp_path, monkeypatch):
    save_network(tmp_path / "a.pth", build_network("3D-LSTM-3", **SMALL))
    others = {
        "network": ("3D-GRU-3", SMALL),
        "leaky_slope": ("3D-LSTM-3", SMALL | {"leaky_slope": 0.3}),
    }
    for differing, (name, options) in others.items():
        save_network(tmp_path / "b.pth", build_network(name, **options))
        paths = [str(tmp_path / file) for file in ("a.pth", "b.pth")]
        monkeypatch.setattr("sys.argv", ["shrink", *paths, f"--out={tmp_path / 'c.pth'}"])
        with pytest.raises(InputError, match=rf"b\.pth: expected {differing} = "):
            shrink.main()
    assert not (tmp_path / "c.pth").exists()


@pytest.mark.parametrize(
    "value",
    [
        {"rows": torch.zeros(1, dtype=torch.int8).expand(64, 64), "scale": torch.zeros(64)},
        {"rows": torch.zeros(64, 64, dtype=torch.int8), "scale": torch.zeros(3)},
        {"rows": torch.zeros(64, 64), "scale": torch.zeros(64)},
        {"rows": torch.zeros(9, 9, dtype=torch.int8), "scale": torch.zeros(9)},
        {"rows": 1},
    ],
)
def test_eight_bit_rows_that_do_not_fit_are_refused_by_name(tmp_path, value):
    content = damaged(lambda content: content["weights"].update({"encoder.fc.weight": value}))
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=r"bad\.pth.*encoder\.fc\.weight"):
        load_network(tmp_path / "bad.pth")


def test_a_matrix_that_the_network_has_not_is_not_expanded(tmp_path, monkeypatch):
    rows = torch.zeros(64, 64, dtype=torch.int8)
    content = damaged(
        lambda content: content["weights"].update(extra={"rows": rows, "scale": torch.zeros(64)})
    )
    torch.save(content, tmp_path / "bad.pth")
    monkeypatch.setattr(torch.Tensor, "__mul__", lambda *_: pytest.fail("expanded"))
    with pytest.raises(InputError, match=r"bad\.pth.*extra"):
        load_network(tmp_path / "bad.pth")

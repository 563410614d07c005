"""Convert weights: python -m models.convert SOURCE OUT.safetensors (or .pth, .onnx)

SOURCE is weights or a checkpoint of this project, a file of the PyTorch port, or the official
Theano weights (.npy). The PyTorch port is https://github.com/Rutvikk-Khar/3D-Object-Reconstruction,
after https://github.com/alex-golts/Pytorch-3D-R2N2.
"""

import pickle
import re
from pathlib import Path

import numpy as np
import torch

from models import R2N2, VARIANTS, load_network
from models.onnx import save_onnx
from models.weights import load_weights, read_torch, reading, save_network
from utils.errors import InputError, Parser, number, run

PORT_FILE = re.compile(r"(encoder|convrnn|decoder)_epoch_(\d+)\.pth")
PORT_LAYERS = {
    **{f"encoder.conv{i}": f"encoder.conv{i}" for i in range(1, 7)},
    "encoder.fc1": "encoder.fc",
    "convrnn.convlstm.linear": "recurrence.input",
    "convrnn.convlstm.conv3d": "recurrence.hidden",
    **{f"decoder.conv3d{i}": f"decoder.conv{i}" for i in range(1, 6)},
}
SHALLOW_ENCODER = [f"conv{i}" for i in range(1, 7)]
SHALLOW_DECODER = [f"conv{i}" for i in range(1, 6)]
RESIDUAL_ENCODER = [
    f"blocks.{int(name[0]) - 1}.{name[1]}"
    for name in "1a 1b 2a 2b 2c 3a 3b 3c 4a 4b 5a 5b 5c 6a 6b".split()
]
RESIDUAL_DECODER = [f"conv{name}" for name in "7a 7b 8a 8b 9a 9b 9c 10a 10b 10c 11".split()]
THEANO_NETWORKS = {  # number of arrays -> name, encoder layers, decoder layers
    33: ("3D-GRU-3", SHALLOW_ENCODER, SHALLOW_DECODER),
    63: ("Res3D-GRU-3", RESIDUAL_ENCODER, RESIDUAL_DECODER),
}


def load_third_party(path: str | Path) -> R2N2 | None:
    """Load a network if a file's name is that of third-party weights, else return None."""
    if Path(path).suffix == ".npy":
        return load_theano(path)
    return load_pytorch_port(path) if PORT_FILE.fullmatch(Path(path).name) else None


def load_pytorch_port(path: str | Path) -> R2N2:
    """Load the PyTorch port's 3D-LSTM-3 from one of its three files and the two beside it."""
    path = Path(path)
    epoch = PORT_FILE.fullmatch(path.name)[2]
    weights = {}
    for module in ("encoder", "convrnn", "decoder"):
        file = path.with_name(f"{module}_epoch_{epoch}.pth")
        for key, value in read_torch(file).items():
            layer, _, kind = f"{module}.{key}".rpartition(".")
            if layer not in PORT_LAYERS:
                raise InputError(f"{file}: unexpected parameter {key!r} of the PyTorch port")
            weights[f"{PORT_LAYERS[layer]}.{kind}"] = value
    return load_weights(R2N2("3D-LSTM-3", **VARIANTS["pytorch"]), weights, path)


def load_theano(path: str | Path) -> R2N2:
    """Load the official 3D-GRU-3 or Res3D-GRU-3 from its Theano parameters (.npy)."""
    with reading(path, "the official Theano weights") as file:
        arrays = read_object_array(file)
        name, encoder, decoder = THEANO_NETWORKS[len(arrays)]
        weights = {}
        parameters = _theano_parameters(encoder, decoder)
        for array, (key, convert) in zip(arrays, parameters, strict=True):
            weight = torch.from_numpy(convert(array).copy())
            if key in weights:  # each gate has arrays of its own there
                weight = torch.cat([weights[key], weight])
            weights[key] = weight
    return load_weights(R2N2(name, **VARIANTS["theano"]), weights, path)


def _theano_parameters(encoder: list[str], decoder: list[str]):
    """Yield, in the file's order, each array's parameter here and the conversion to its layout."""
    for layer in encoder:
        yield f"encoder.{layer}.weight", _conv2d
        yield f"encoder.{layer}.bias", np.asarray
    yield "encoder.fc.weight", np.transpose
    yield "encoder.fc.bias", np.asarray
    for gate in ("hidden", "hidden", "candidate"):  # update, reset, candidate
        yield f"recurrence.{gate}.weight", _conv3d
        yield "recurrence.input.weight", _input
        yield f"recurrence.{gate}.bias", np.asarray
    for layer in decoder:
        yield f"decoder.{layer}.weight", _conv3d
        yield f"decoder.{layer}.bias", np.asarray


# Theano's convolutions flip their kernels, and its 3D kernels are (C', D, C, H, W).


def _conv2d(array: np.ndarray) -> np.ndarray:
    return np.flip(array, (2, 3))


def _conv3d(array: np.ndarray) -> np.ndarray:
    return np.flip(array.transpose(0, 2, 1, 3, 4), (2, 3, 4))


def _input(array: np.ndarray) -> np.ndarray:
    """Convert a gate's input weight: (F, D*C*H*W) -> (C*D*H*W, F)."""
    features = len(array)
    return array.reshape(features, 4, -1, 4, 4).transpose(2, 1, 3, 4, 0).reshape(-1, features)


class _Dtype:
    """A dtype without its pickled state, which could make NumPy take bytes as addresses."""

    def __init__(self, code, *_):
        if code not in ("f2", "f4", "f8", "O8"):
            raise pickle.UnpicklingError(f"dtype {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state):
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array that is restored with a `_Dtype`."""

    def __setstate__(self, state):
        version, shape, dtype, *content = state
        super().__setstate__((version, shape, dtype.dtype, *content))


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that knows the four names in a pickled NumPy array, none of which can run code."""

    ALLOWED = {
        "ndarray": None,
        "dtype": _Dtype,
        "_reconstruct": lambda *_: _Array(0),
        "encode": lambda text, _: text.encode("latin1"),
    }

    def find_class(self, module, name):
        return self.ALLOWED[name]


def read_object_array(file) -> np.ndarray:
    """Read the array of arrays in an open .npy file of pickled objects, without running code."""
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return _ArrayUnpickler(file, encoding="latin1").load()


def main() -> None:
    parser = Parser(prog="python -m models.convert", description=__doc__)
    parser.add_argument(
        "source", metavar="SOURCE", help="any weights, a checkpoint, or a folder: its newest one"
    )
    parser.add_argument("out", metavar="OUT", help="file to write: .safetensors, .pth or .onnx")
    parser.add_argument("--half", action="store_true", help="store half precision, half the size")
    parser.add_argument(
        "--threshold", type=number(0.001, 1.0), help="default threshold for these weights"
    )
    args = parser.parse_args()
    from models.checkpoint import find_weights  # late, as it imports models

    source = find_weights(Path(), args.source, "last")
    network = load_network(source)
    if args.threshold is not None:
        network.threshold = args.threshold
    if Path(args.out).suffix == ".onnx":
        save_onnx(args.out, network)
    else:
        save_network(args.out, network, half=args.half)
    print(f"{args.out}: {network.name} of {source}, threshold {network.threshold:g}")


if __name__ == "__main__":
    run(main)

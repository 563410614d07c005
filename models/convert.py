"""Weights trained elsewhere: the PyTorch seed's three files and the authors' Theano arrays.

`python -m models.convert SOURCE OUT.pth` converts either to a checkpoint of this project.
"""

import io
import pickle
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import R2N2, build_network
from models.weights import LARGEST_WEIGHTS, load_weights, read_torch, save_network
from utils.errors import InputError, Parser, run
from utils.files import read_bytes

SEED_FILE = re.compile(r"(encoder|convrnn|decoder)_epoch_(\d+)\.pth")
SEED_LAYERS = {
    **{f"encoder.conv{n}": f"encoder.conv{n}" for n in range(1, 7)},
    "encoder.fc1": "encoder.fc",
    "convrnn.convlstm.linear": "recurrence.input",
    "convrnn.convlstm.conv3d": "recurrence.hidden",
    **{f"decoder.conv3d{n}": f"decoder.conv{n}" for n in range(1, 6)},
}

AUTHORS_OPTIONS = {"image_size": 127, "pool_padding": 1, "unpooling": "zero"}
GRU_ENCODER = [f"conv{n}" for n in range(1, 7)]
GRU_DECODER = [f"conv{n}" for n in range(1, 6)]
RESIDUAL_ENCODER = [
    f"blocks.{int(name[0]) - 1}.{name[1]}"
    for name in "1a 1b 2a 2b 2c 3a 3b 3c 4a 4b 5a 5b 5c 6a 6b".split()
]
RESIDUAL_DECODER = [f"conv{name}" for name in "7a 7b 8a 8b 9a 9b 9c 10a 10b 10c 11".split()]
THEANO_NETWORKS = {  # number of arrays -> name, encoder layers, decoder layers
    33: ("3D-GRU-3", GRU_ENCODER, GRU_DECODER),
    63: ("Res3D-GRU-3", RESIDUAL_ENCODER, RESIDUAL_DECODER),
}


def load_seed(path: str | Path) -> R2N2:
    """The 3D-LSTM-3 network of the PyTorch seed, from any one of its three files.

    The other two are looked for beside it. Files saved from a GPU are read as well.
    """
    path = Path(path)
    name = SEED_FILE.fullmatch(path.name)
    weights = {}
    for part in ("encoder", "convrnn", "decoder"):
        file = path.with_name(f"{part}_epoch_{name[2]}.pth")
        for key, value in read_torch(file).items():
            layer, _, kind = f"{part}.{key}".rpartition(".")
            if layer not in SEED_LAYERS or not isinstance(value, Tensor):
                raise InputError(f"{file}: expected the seed's 3D-LSTM-3, found a key {key!r}")
            weights[f"{SEED_LAYERS[layer]}.{kind}"] = value
    return load_weights(build_network("3D-LSTM-3"), weights, path)


@torch.no_grad()
def load_theano(path: str | Path) -> R2N2:
    """The authors' network, 3D-GRU-3 or Res3D-GRU-3, from its Theano parameters (a .npy file)."""
    arrays = read_object_array(path)
    if len(arrays) not in THEANO_NETWORKS:
        counts = " or ".join(f"{count} ({name})" for count, (name, *_) in THEANO_NETWORKS.items())
        raise InputError(f"{path}: expected {counts} arrays, found {len(arrays)}")
    name, encoder, decoder = THEANO_NETWORKS[len(arrays)]
    network = build_network(name, **AUTHORS_OPTIONS)
    layout = _theano_layout(network, encoder, decoder)
    for number, (array, (name, target, turn)) in enumerate(zip(arrays, layout, strict=True)):
        where = f"{path}: array {number} ({name})"
        try:
            turned = turn(array)
        except (ValueError, IndexError):
            raise InputError(f"{where}: expected {target.ndim} axes, found {array.shape}") from None
        if turned.shape != target.shape:
            raise InputError(
                f"{where}: expected {tuple(target.shape)}, found {turned.shape} in torch's layout"
            )
        target.copy_(torch.from_numpy(turned.copy()))
    return network.eval()


def _theano_layout(network: R2N2, encoder: list[str], decoder: list[str]):
    """What each array of the file is, in order: its name, the parameter (or the gate's share of
    it) and the turn from Theano's layout to torch's.

    Theano flips its kernels and lays grids out as (D, C, H, W).
    """

    def layers(part, names, turn):
        for name in names:
            layer = part.get_submodule(name)
            yield f"{name}.weight", layer.weight, turn
            yield f"{name}.bias", layer.bias, np.copy

    yield from layers(network.encoder, encoder, _conv2d)
    yield from layers(network.encoder, ["fc"], np.transpose)
    hidden, candidate = network.recurrence.hidden, network.recurrence.candidate
    for gate, kernel, product, bias in zip(
        ("update", "reset", "candidate"),
        (*hidden.weight.chunk(2), candidate.weight),
        network.recurrence.input.weight.chunk(3),
        (*hidden.bias.chunk(2), candidate.bias),
        strict=True,
    ):
        yield f"{gate}.hidden", kernel, _conv3d
        yield f"{gate}.input", product, _product
        yield f"{gate}.bias", bias, np.copy
    yield from layers(network.decoder, decoder, _conv3d)


def _conv2d(array: np.ndarray) -> np.ndarray:
    return np.flip(array, (2, 3))


def _conv3d(array: np.ndarray) -> np.ndarray:
    return np.flip(array.transpose(0, 2, 1, 3, 4), (2, 3, 4))


def _product(array: np.ndarray) -> np.ndarray:
    """A gate's product with the input, (features, D*C*H*W), as (C*D*H*W, features)."""
    features = array.shape[0]
    return array.reshape(features, 4, -1, 4, 4).transpose(2, 1, 3, 4, 0).reshape(-1, features)


def read_object_array(path: str | Path) -> list[np.ndarray]:
    """The arrays in a .npy file that holds a pickled list of float arrays, without running code."""
    content = read_bytes(path, LARGEST_WEIGHTS)
    file = io.BytesIO(content)
    try:
        if (version := np.lib.format.read_magic(file)) != (1, 0):
            raise ValueError(f"found version {version} of the format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.kind != "O" or len(shape) != 1:
            raise ValueError(f"found an array {shape} of {dtype}")
        objects = _ArrayUnpickler(file, len(content)).load()
        if not isinstance(objects, _Array) or objects.shape != shape:
            raise ValueError("found another object")
        if sum(len(array.content) for array in objects.content) > len(content):
            raise ValueError("found one array in many places")
        return [array.floats() for array in objects.content]
    except Exception as error:  # a hostile pickle can fail in any way; all of them mean the same
        reason = str(error).split("\n")[0][:100]
        raise InputError(f"{path}: expected a numpy array of float arrays, {reason}") from error


class _Dtype:
    """Stands for numpy's dtype, whose own state a pickle could set so that numpy reads anywhere."""

    def __init__(self, code, *_):
        if code not in ("f2", "f4", "f8", "O8"):
            raise pickle.UnpicklingError(f"found numbers of type {code!r}")
        self.code, self.order = code, "<"

    def __setstate__(self, state):
        if state[1] in ("<", ">"):
            self.order = state[1]


class _Array:
    """Stands for numpy's array: a shape, and a list of objects or the bytes of floats."""

    def __setstate__(self, state):
        _, self.shape, self.dtype, self.fortran, self.content = state
        if isinstance(self.content, str):  # as Python 2 writes bytes
            self.content = self.content.encode("latin1")
        if self.dtype.code == "O8" and self.shape != (len(self.content),):
            raise pickle.UnpicklingError(f"found {len(self.content)} objects for {self.shape}")

    def floats(self) -> np.ndarray:
        numbers = np.frombuffer(self.content, self.dtype.order + self.dtype.code)
        shaped = numbers.reshape(self.shape, order="F" if self.fortran else "C")
        return np.asarray(shaped, np.float32)


class _ArrayUnpickler(pickle._Unpickler):
    """Admits what a pickled numpy array is made of, and nothing else; numpy itself reads nothing.

    The unpickler written in Python: the one in C takes memory for whatever size a file claims.
    """

    def refuse(self):
        raise pickle.UnpicklingError("found a bytearray")

    # Even this unpickler takes memory for a bytearray before it reads one.
    dispatch = pickle._Unpickler.dispatch | {pickle.BYTEARRAY8[0]: refuse}

    def __init__(self, file, size: int):
        super().__init__(file, encoding="latin1")
        self.left = size  # bytes that the file can still have held as text

    def find_class(self, module, name):
        match module, name:
            case "numpy", "dtype":
                return _Dtype
            case "numpy", "ndarray":
                return None
            case "numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct":
                return lambda subtype, shape, kind: _Array()
            case "_codecs", "encode":
                return self.latin1
        raise pickle.UnpicklingError(f"found {module}.{name}, which could run code")

    def latin1(self, text, encoding):
        """Stands for _codecs.encode, by which Python 3 writes bytes in the older protocols."""
        self.left -= len(text)
        if encoding != "latin1" or self.left < 0:
            raise pickle.UnpicklingError(f"found text in {encoding!r}, or more of it than there is")
        return text.encode("latin1")


def seed_path(folder: str | Path, epoch: int) -> Path:
    """One of the seed's three files of an epoch."""
    return Path(folder) / f"encoder_epoch_{epoch:08d}.pth"


def is_foreign(path: str | Path) -> bool:
    """Whether `path` is named like one of the seed's files or the authors' arrays."""
    return bool(SEED_FILE.fullmatch(Path(path).name)) or Path(path).suffix == ".npy"


def load_foreign(path: str | Path) -> R2N2:
    """The network in a foreign weight file, in evaluation mode, on the CPU."""
    return load_theano(path) if Path(path).suffix == ".npy" else load_seed(path)


def convert(source: str | Path, out: str | Path) -> R2N2:
    """Write the network in a foreign weight file as a file of this project."""
    if not is_foreign(source):
        raise InputError(
            f"{source}: expected (encoder|convrnn|decoder)_epoch_N.pth or a .npy file by name"
        )
    network = load_foreign(source)
    save_network(out, network)
    return network


def main() -> None:
    parser = Parser(prog="python -m models.convert", description=__doc__)
    parser.add_argument("source", metavar="SOURCE", help="one of the seed's files, or a .npy file")
    parser.add_argument("out", metavar="OUT.pth", help="the checkpoint to write")
    arguments = parser.parse_args()
    network = convert(arguments.source, arguments.out)
    print(f"{arguments.out}: {network.name} written")


if __name__ == "__main__":
    run(main)

"""Weights on disk: .safetensors for files that travel, .pth for checkpoints and others' files."""

import json
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from models.network import R2N2
from utils.errors import InputError
from utils.files import atomic_write, open_regular, refuse_placeholder

FORMAT = "3d-r2n2"


def network_state(network: R2N2) -> dict:
    """Return all that `network_from_state` needs to build the network again."""
    return {
        "format": FORMAT,
        "network": {"name": network.name, "options": network.options},
        "threshold": network.threshold,
        "weights": network.state_dict(),
    }


def network_from_state(content: dict, path: str | Path) -> R2N2:
    """Build the network of a `network_state` from `path`, in evaluation mode, on the CPU."""
    if content.get("format") != FORMAT or not isinstance(content.get("weights"), dict):
        raise InputError(f"{path}: expected weights or a checkpoint of this project")
    try:
        with torch.device("meta"):  # the weights are those of the file
            network = R2N2(content["network"]["name"], **content["network"]["options"])
            network.threshold = float(content["threshold"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: invalid network: {error}") from error
    return load_weights(network, content["weights"], path)


def load_weights(network: R2N2, weights: dict, path: str | Path) -> R2N2:
    """Put weights from `path` into a network, as float32, and set it to evaluation mode.

    Raises:
        InputError: Names the first parameter that is missing, unknown, of another shape or not
            finite.
    """
    shapes = {key: f"shape {tuple(value.shape)}" for key, value in network.state_dict().items()}
    for key in sorted(shapes.keys() | weights.keys()):
        expected, found = shapes.get(key, "no such parameter"), _describe(weights.get(key))
        if found != expected:
            raise InputError(f"{path}: {key}: expected {expected}, got {found}")
    network.to_empty(device="cpu").load_state_dict(weights)
    return network.eval()


def _describe(value) -> str:
    """Return the shape of a weight, or why it is none."""
    if value is None:
        return "nothing"
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return str(getattr(value, "dtype", type(value).__name__))
    if not value.float().isfinite().all():  # 1e300 of float64 is infinite in float32
        return "values that are not finite in float32"
    return f"shape {tuple(value.shape)}"


@contextmanager
def reading(path: str | Path, expected: str):
    """Yield the binary file at `path`; whatever fails while it is read becomes one InputError."""
    with open_regular(path) as file:
        try:
            refuse_placeholder(file.read(1024))
            file.seek(0)
            yield file
        except (OSError, MemoryError):
            raise  # the file may be sound
        except Exception as error:  # a damaged file raises errors of any type
            found = "a damaged file, another format, or objects that could run code"
            found = error if isinstance(error, InputError) else found
            raise InputError(f"{path}: expected {expected}, got {found}") from error


def read_torch(path: str | Path) -> dict:
    """Read the dictionary that torch saved in `path`, without running code."""
    with reading(path, "a dictionary of tensors and plain values, saved by torch") as file:
        content = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise TypeError(type(content))
    return content


def read_safetensors(path: str | Path) -> dict:
    """Read the `network_state` that `save_network` wrote to a .safetensors file."""
    with reading(path, "weights of this project"):
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()[FORMAT])
        return header | {"format": FORMAT, "weights": safetensors.torch.load_file(path)}


def write_torch(path: str | Path, content: dict) -> None:
    """Save `content` with torch, atomically."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch hides the system's error, such as a full disk
            raise error.__context__ or error from None


def save_network(path: str | Path, network: R2N2, *, half: bool = False) -> None:
    """Save the network alone, for `load_network`, as .safetensors or .pth.

    A .safetensors file has one entry of metadata, "3d-r2n2": JSON with the network's name and
    options, and its threshold. With `half`, the weights are float16.
    """
    content = network_state(network)
    weights = {k: v.half() if half else v for k, v in content.pop("weights").items()}
    if Path(path).suffix == ".safetensors":
        del content["format"]
        data = safetensors.torch.save(weights, {FORMAT: json.dumps(content)})
        with atomic_write(path) as temporary:
            temporary.write_bytes(data)
    elif Path(path).suffix == ".pth":
        write_torch(path, content | {"weights": weights})
    else:
        raise InputError(f"{path}: expected a name in .safetensors or .pth")

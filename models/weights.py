"""Our file format: a network's name, options and weights, saved by torch."""

import os
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from models.network import R2N2, THRESHOLD
from utils.errors import InputError
from utils.files import atomic_write, open_bounded

FORMAT = "3d-r2n2"
MAX_WEIGHTS_BYTES = 2**33  # a checkpoint of 3D-LSTM-3 has 370 MB
FLOAT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: expected weights or a checkpoint of this project")
    try:
        name, options = content["network"]["name"], content["network"]["options"]
        weights = dict(content["weights"])
        with torch.device("meta"):  # no memory before the shapes are checked
            network = R2N2(name, **options)
        network.threshold = content.get("threshold", THRESHOLD)
        if not (isinstance(network.threshold, float) and 0 < network.threshold <= 1):
            raise ValueError(f"threshold: expected above 0 to 1, got {network.threshold!r:.50}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: invalid network: {error}") from error
    return load_weights(network, weights, path)


def load_weights(network: R2N2, weights: dict, path: str | Path) -> R2N2:
    """Put weights from `path` into a network, as float32, and set it to evaluation mode.

    Raises:
        InputError: Names the first parameter that is missing, unknown, of another shape or not
            finite.
    """
    expected = network.state_dict()
    for key in sorted(expected.keys() | weights.keys(), key=str):
        value = weights.get(key)
        if key not in expected:
            raise InputError(f"{path}: unexpected parameter {key!r}; {network.name} has none")
        if not is_dense_float(value):
            got = type(value).__name__
            if isinstance(value, Tensor):
                got = f"{value.dtype} ({value.layout}, {value.device})"
            raise InputError(
                f"{path}: {key}: expected a dense tensor of float16, bfloat16, float32 or float64, "
                f"got {got}"
            )
        if value.shape != expected[key].shape:
            shapes = f"expected shape {tuple(expected[key].shape)}, got {tuple(value.shape)}"
            raise InputError(f"{path}: {key}: {shapes}")
        if not value.isfinite().all():
            raise InputError(f"{path}: {key}: weights are not finite")
    network.to_empty(device="cpu").load_state_dict(weights)
    return network.eval()


def is_dense_float(value) -> bool:
    """Return whether an object from a file is a tensor that can be copied into a parameter.

    Others, such as float8 and meta tensors, raise NotImplementedError in places.
    """
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_nested
        and value.device.type == "cpu"
        and value.dtype in FLOAT_TYPES
    )


def read_torch(path: str | Path) -> dict:
    """Read the dictionary that torch saved in `path`, without running code.

    Raises:
        InputError: If the file is damaged or holds more than tensors and plain values.
    """
    with open_bounded(path, MAX_WEIGHTS_BYTES) as file:
        try:
            _check_archive(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for a damaged file
            reason = "damaged, not saved by torch, or with objects that could run code"
            raise InputError(f"{path}: expected a file saved by torch, got one {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a dictionary, got a {type(content).__name__}")
    return content


def _check_archive(file) -> None:
    """Raise ValueError for a damaged archive (torch checks no CRC), or a compressed one.

    torch does not compress, so the size of the file bounds the memory that loading takes.
    """
    if is_zipfile(file):
        with ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > os.path.getsize(file.name):
                raise ValueError("compressed archive")
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
    file.seek(0)


def write_torch(path: str | Path, content: dict) -> None:
    """Save `content` with torch, atomically."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch hides the system's error, such as a full disk
            raise error.__context__ or error from None


def save_network(path: str | Path, network: R2N2, *, half: bool = False) -> None:
    """Save the network alone, for `load_network`; with `half`, its weights in half precision."""
    state = network_state(network)
    if half:
        state["weights"] = {key: value.half() for key, value in state["weights"].items()}
    write_torch(path, state)

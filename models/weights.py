"""A network in a file: its name, its options and its weights, and nothing that runs code."""

import os
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, is_zipfile

import torch
from torch import Tensor

from models import R2N2, build_network
from utils.errors import InputError
from utils.files import atomic_write, open_bounded

FORMAT = "3d-r2n2"
LARGE = 10_000_000  # numbers in a matrix
LARGEST_WEIGHTS = 2**33  # bytes of a file; a whole checkpoint takes 370 MB


def network_state(network: R2N2) -> dict:
    """All that is needed to build `network` again."""
    return {
        "format": FORMAT,
        "network": {"name": network.name, "options": network.options},
        "weights": network.state_dict(),
    }


LIMITS = {
    "image_size": (64, 137),
    "pool_padding": (0, 1),
    "leaky_slope": (0, 1),
    "width": (0.01, 4),
}


def check_options(options: dict) -> dict:
    """Return the options of a network in a file; ValueError for what no network may have."""
    if options.keys() != {*LIMITS, "unpooling"}:
        raise ValueError(f"expected the options {', '.join(LIMITS)}, found {', '.join(options)}")
    for name, (least, most) in LIMITS.items():
        if not isinstance(options[name], int | float) or not least <= options[name] <= most:
            raise ValueError(f"{name}: expected {least} to {most}, found {str(options[name])!r}")
    return options


def network_from_state(content: dict, path: str | Path) -> R2N2:
    """The network that `network_state` described, on the CPU, in evaluation mode.

    Nothing is allocated before the stored weights have shown that they fit.
    """
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: expected a checkpoint of this project, found none of its marks")
    try:
        name, weights = content["network"]["name"], dict(content["weights"])
        options = check_options(content["network"]["options"])
        with torch.device("meta"):
            network = build_network(name, **options)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a network's name, options, weights: {error}") from error
    return load_weights(network, weights, path)


def check_network(network: R2N2, path: str | Path, name: str, options: dict) -> None:
    """Raise InputError, naming what differs, when the network from `path` is another one."""
    expected, found = {"network": name, **options}, {"network": network.name, **network.options}
    if other := [key for key in expected if found[key] != expected[key]]:
        raise InputError(
            f"{path}: expected {', '.join(f'{key} = {expected[key]}' for key in other)}, "
            f"found {', '.join(f'{key} = {found[key]}' for key in other)}"
        )


def load_weights(network: R2N2, weights: dict, path: str | Path) -> R2N2:
    """Put `weights` into `network`; name the first parameter that is missing or does not fit."""
    own, fitting = network.state_dict(), {}
    for key in sorted(own.keys() | weights.keys(), key=str):
        if key not in own:
            raise InputError(f"{path}: found a parameter {key}, which {network.name} has not")
        value = _expanded(weights.get(key), own[key].shape)
        if not _is_dense(value):
            raise InputError(f"{path}: expected a parameter {key}, found none")
        expected, found = tuple(own[key].shape), tuple(value.shape)
        if expected != found:
            raise InputError(f"{path}: {key}: expected the shape {expected}, found {found}")
        fitting[key] = value
    network.load_state_dict(fitting, assign=True)
    return network.float().eval()


def compress(network: R2N2) -> dict:
    """`network_state`, its weights in half precision and large matrices in 8 bits a number.

    Each row of those is whole numbers of -127 to 127, to be multiplied by the row's scale.
    """
    content = network_state(network)
    for key, value in content["weights"].items():
        if value.ndim == 2 and value.numel() > LARGE:
            scale = (value.abs().amax(1) / 127).half()
            rows = (value / scale.float().clamp_min(1e-8)[:, None]).round().clamp(-127, 127)
            content["weights"][key] = {"rows": rows.to(torch.int8), "scale": scale}
        else:
            content["weights"][key] = value.half()
    return content


def _expanded(value, shape: torch.Size):
    """The matrix of `shape` that `compress` made 8-bit rows of; any other value as it is."""
    match value:
        case {"rows": Tensor(dtype=torch.int8) as rows, "scale": Tensor() as scale}:
            fits = rows.shape == shape and scale.shape == shape[:1]
            if fits and _is_dense(scale) and rows.is_contiguous():
                return rows * scale.float()[:, None]
    return value


def _is_dense(value) -> bool:
    """Whether a value is a tensor of numbers that its file really holds, one by one."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.is_floating_point()
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def read_torch(path: str | Path) -> dict:
    """The dictionary that torch saved in `path`, tensors and plain values only, on the CPU.

    Raises InputError when the file is damaged or holds anything that would have to run code.
    """
    with open_bounded(path, LARGEST_WEIGHTS) as file:
        try:
            _check_archive(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
            _check_storages(content, os.fstat(file.fileno()).st_size)
        except ValueError as error:
            reason = str(error).split("\n")[0][:100]  # it may quote the file
            raise InputError(f"{path}: expected a file saved by torch: {reason}") from error
        except Exception as error:  # torch raises whatever its unzipping and unpickling meet
            found = "another kind of file, a damaged one, or one that would run code"
            raise InputError(f"{path}: expected a file saved by torch, found {found}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a dictionary, found a {type(content).__name__}")
    return content


def _check_archive(file) -> None:
    """Raise ValueError for an archive that is damaged, or unpacks to more than a file may have.

    torch checks no checksums, and compresses nothing.
    """
    if is_zipfile(file):
        with ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > LARGEST_WEIGHTS:
                raise ValueError(f"{unpacked} bytes when it is unpacked")
            if any(entry.compress_type != ZIP_STORED for entry in archive.infolist()):
                raise ValueError("found it compressed")
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
    file.seek(0)


def _check_storages(content, size: int) -> None:
    """Raise ValueError for tensors of more numbers than a file of `size` bytes can hold.

    In the form before archives a file may claim any size, and leave the numbers out.
    """
    waiting, seen, storages = [content], set(), {}
    while waiting:
        value = waiting.pop()
        if id(value) in seen:  # a list may hold itself
            continue
        seen.add(id(value))
        match value:
            case dict() as values:
                waiting += values.values()
            case list() | tuple() as values:
                waiting += values
            case Tensor(layout=torch.strided):
                storage = value.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
    if (claimed := sum(storages.values())) > size:
        raise ValueError(f"{claimed} bytes of numbers in {size} of the file")


def write_torch(path: str | Path, content: dict) -> None:
    """Save `content` with torch: the file is wholly written or not there."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch's own, in place of the system's reason
            raise error.__context__ or error from None


def save_network(path: str | Path, network: R2N2) -> None:
    """Write the network alone, as `utils.checkpoint.load_network` reads it."""
    write_torch(path, network_state(network))

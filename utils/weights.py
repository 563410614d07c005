"""A network in a file: its name, its options and its weights, and nothing that runs code."""

from pathlib import Path

import torch
from torch import Tensor

from models import R2N2, build_network
from utils.errors import UserError
from utils.files import replacing

FORMAT = "3d-r2n2"


def describe(network: R2N2) -> dict:
    """All that is needed to build `network` again."""
    return {
        "format": FORMAT,
        "network": {"name": network.name, "options": network.options},
        "weights": network.state_dict(),
    }


def rebuild(content: dict, path: str | Path) -> R2N2:
    """The network that `describe` described, on the CPU, in evaluation mode.

    Nothing is allocated before the stored weights have shown that they fit.
    """
    if content.get("format") != FORMAT:
        raise UserError(f"{path}: expected a checkpoint of this project, found none of its marks")
    try:
        name, options = content["network"]["name"], content["network"]["options"]
        weights = content["weights"]
        with torch.device("meta"):
            network = build_network(name, **options)
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise UserError(f"{path}: expected a network's name and options: {error}") from error
    return fit(network, weights, path)


def fit(network: R2N2, weights: dict, path: str | Path) -> R2N2:
    """Put `weights` into `network`; name the first parameter that is missing or does not fit."""
    own = network.state_dict()
    for key in sorted(own.keys() | weights.keys(), key=str):
        if key not in weights or not isinstance(weights[key], Tensor):
            raise UserError(f"{path}: expected a parameter {key}, found none")
        if key not in own:
            raise UserError(f"{path}: found a parameter {key}, which {network.name} has not")
        expected, found = tuple(own[key].shape), tuple(weights[key].shape)
        if expected != found:
            raise UserError(f"{path}: {key}: expected the shape {expected}, found {found}")
    network.load_state_dict(weights, assign=True)
    return network.float().eval()


def read_torch(path: str | Path) -> dict:
    """The dictionary that torch saved in `path`, tensors and plain values only, on the CPU.

    Raises UserError when the file is damaged or holds anything that would have to run code.
    """
    with open(path, "rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever its unzipping and unpickling meet
            reason = str(error).strip().split("\n")[0][:100]
            raise UserError(f"{path}: expected a file saved by torch: {reason}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary, found a {type(content).__name__}")
    return content


def write_torch(path: str | Path, content: dict) -> None:
    """Save `content` with torch: the file is wholly written or not there."""
    with replacing(path) as temporary:
        torch.save(content, temporary)


def save_network(path: str | Path, network: R2N2) -> None:
    """Write the network alone, as `utils.checkpoint.load_network` reads it."""
    write_torch(path, describe(network))

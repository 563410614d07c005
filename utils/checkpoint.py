"""One file per epoch that holds all a training needs to go on, and the way back from it."""

import re
from pathlib import Path

import torch

from models import R2N2
from utils import legacy
from utils.errors import UserError
from utils.weights import describe, read_torch, rebuild, write_torch

NAME = re.compile(r"checkpoint_epoch_(\d{8})\.pth$")


def checkpoint_path(folder: str | Path, epoch: int) -> Path:
    return Path(folder) / f"checkpoint_epoch_{epoch:08d}.pth"


def newest_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint of the latest epoch in an experiment's folder, or None."""
    folder = Path(folder)
    found = (path for path in folder.iterdir() if NAME.match(path.name)) if folder.is_dir() else ()
    return max(found, default=None)


def find_checkpoint(folder: str | Path, epoch: int | str) -> Path:
    """The checkpoint of an epoch's number, or of the "last" epoch there is.

    In a folder of the PyTorch seed's files, one of the three of that epoch.
    """
    newest = newest_checkpoint(folder)
    if epoch == "last":
        candidates = [newest] if newest else []
    else:
        candidates = [checkpoint_path(folder, epoch), legacy.seed_path(folder, epoch)]
    for path in candidates:
        if path.is_file():
            return path
    found = f"the newest there is {newest.name}" if newest else "found no checkpoint there"
    raise UserError(f"resume_epoch: expected epoch {epoch} in {folder}, {found}")


def find_weights(
    folder: Path, weights: str, epoch: int | str, otherwise: Path | None = None
) -> Path:
    """The file to load a network from.

    That is `weights` where it is given (a file, or a folder with the checkpoint of `epoch`), else
    the checkpoint of `epoch` in the experiment's `folder` unless that is 0, else `otherwise`, else
    the newest checkpoint in `folder`.
    """
    if weights and not Path(weights).is_dir():
        return Path(weights)
    if weights or epoch != 0:
        return find_checkpoint(weights or folder, epoch or "last")
    path = otherwise or newest_checkpoint(folder)
    if path is None:
        raise UserError(
            f"{folder}: expected a checkpoint, found none "
            "(make one with 'python train.py', or name a file with --weights)"
        )
    return path


def save_checkpoint(
    path: str | Path,
    network: R2N2,
    optimizer,
    scaler,
    *,
    epoch: int,
    step: int,
    metrics: dict,
    config: dict,
) -> None:
    """Write network, optimizer, scaler, progress, random state, metrics and config as one file.

    Samples are drawn from (seed, epoch, index), so torch's is the only random state there is.
    """
    content = describe(network) | {
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "epoch": epoch,
        "step": step,
        "random": torch.get_rng_state(),
        "metrics": metrics,
        "config": config,
    }
    write_torch(path, content)


def load_checkpoint(path: str | Path) -> tuple[R2N2, dict]:
    """The network of a checkpoint of this project, and all that was saved with it."""
    content = read_torch(path)
    network = rebuild(content, path)
    if missing := {"optimizer", "scaler", "epoch", "step", "random"} - content.keys():
        raise UserError(f"{path}: expected a checkpoint to resume from, found no {min(missing)}")
    return network, content


def load_network(path: str | Path) -> R2N2:
    """The network in a file, in evaluation mode, on the CPU, from that file alone.

    Takes checkpoints of this project, any one of the PyTorch seed's three files, and the authors'
    Theano arrays (.npy). Raises UserError, naming file and parameter, when it does not fit.
    """
    if legacy.is_foreign(path):
        return legacy.load_foreign(path)
    return rebuild(read_torch(path), path)

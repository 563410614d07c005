"""One file per epoch that holds all a training needs to go on, and the way back from it.

A training that was asked to stop in the middle of an epoch leaves one more, for that epoch.
"""

import re
from pathlib import Path

import torch

from models import R2N2
from models import convert as legacy
from models.weights import network_from_state, network_state, read_torch, write_torch
from utils.engine import Progress
from utils.errors import InputError

NAME = re.compile(r"checkpoint_(epoch|within)_(\d{8})\.pth$")


def checkpoint_path(folder: str | Path, epoch: int, *, within: bool = False) -> Path:
    """The file of an epoch's end, or of a moment `within` it."""
    return Path(folder) / f"checkpoint_{'within' if within else 'epoch'}_{epoch:08d}.pth"


def newest_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint in an experiment's folder of the training that went farthest, or None."""
    folder = Path(folder)
    names = (
        [match for path in folder.iterdir() if (match := NAME.match(path.name))]
        if folder.is_dir()
        else []
    )
    newest = max(names, key=lambda match: (int(match[2]), match[1] == "epoch"), default=None)
    return newest and folder / newest[0]


def remove_interrupted(folder: str | Path) -> None:
    """Remove the checkpoints of moments within epochs: the training has gone beyond them."""
    for path in Path(folder).iterdir():
        if (match := NAME.match(path.name)) and match[1] == "within":
            path.unlink()


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
    raise InputError(f"resume_epoch: expected epoch {epoch} in {folder}, {found}")


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
        raise InputError(
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
    config: dict,
    metrics: dict | None = None,
    running: Progress | None = None,
) -> None:
    """Write network, optimizer, scaler, progress, random state, metrics and config as one file.

    `epoch` is in progress where there is a state `running` of it, else it is done; `step` counts
    the steps of the epochs that are done. The same training writes the same bytes. Samples are
    drawn from (seed, epoch, index), so torch's is the only random state there is.
    """
    content = network_state(network) | {
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "epoch": epoch,
        "step": step,
        "random": torch.get_rng_state(),
        "config": config,
        "metrics": metrics,
        "running": running and {"batches": running.batches, "sums": running.sums},
    }
    write_torch(path, content)


def load_checkpoint(path: str | Path) -> tuple[R2N2, dict]:
    """The network of a checkpoint of this project, and all that was saved with it."""
    content = read_torch(path)
    network = network_from_state(content, path)
    expected = {"optimizer", "scaler", "epoch", "step", "random", "running", "config"}
    if missing := expected - content.keys():
        raise InputError(f"{path}: expected a checkpoint to resume from, found no {min(missing)}")
    if not isinstance(content["config"], dict):
        raise InputError(f"{path}: expected a dictionary 'config', found {content['config']!r:.60}")
    return network, content


def restore(path: Path, content: dict, optimizer, scaler) -> tuple[int, int, Progress]:
    """Bring optimizer, scaler and torch's random state back to what `save_checkpoint` saved.

    Returns the epochs that are done, the steps in them, and what the next one has come to.
    """
    try:
        options = optimizer.state_dict()["param_groups"]  # those of this run
        optimizer.load_state_dict({**content["optimizer"], "param_groups": options})
        for parameter, state in optimizer.state.items():
            shapes = {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
            for name, shape in shapes.items():
                if state[name].shape != shape:
                    raise ValueError(f"{name} {tuple(state[name].shape)}")
        scaler.load_state_dict(content["scaler"])
        torch.set_rng_state(content["random"])
        epoch, step, running = int(content["epoch"]), int(content["step"]), content["running"]
        if running is None:
            return epoch, step, Progress()
        return epoch - 1, step, Progress(int(running["batches"]), running["sums"].reshape(3))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a state to resume from: {error!r:.100}") from error


def load_network(path: str | Path) -> R2N2:
    """The network in a file, in evaluation mode, on the CPU, from that file alone.

    Takes checkpoints of this project, any one of the PyTorch seed's three files, and the authors'
    Theano arrays (.npy). Raises InputError, naming file and parameter, when it does not fit.
    """
    if legacy.is_foreign(path):
        return legacy.load_foreign(path)
    return network_from_state(read_torch(path), path)

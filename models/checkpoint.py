"""Checkpoints, one after each epoch, and all that resuming a training from one needs.

A training that stops or fails within an epoch leaves checkpoint_interrupted.pth as well.
"""

from pathlib import Path
from typing import NamedTuple

import torch

from models import R2N2, VARIANTS, load_network
from models.network import THRESHOLD, with_resolution
from models.weights import network_from_state, network_state, read_torch, write_torch
from utils import distributed
from utils.config import DEFAULTS, Config
from utils.engine import Progress, check_finite
from utils.errors import InputError

INTERRUPTED = "checkpoint_interrupted.pth"
# What the batches of an epoch depend on, besides the dataset and the number of processes.
BATCH_OPTIONS = "seed batch_size min_views max_views split_file val_fraction categories".split()
# What a resumed training doesn't take from the checkpoint.
OWN_OPTIONS = ("device", "num_workers", "resume_epoch", "saved_models_path", "experiment_name")


def checkpoint_path(folder: str | Path, epoch: int) -> Path:
    return Path(folder) / f"checkpoint_epoch_{epoch:08d}.pth"


def newest_checkpoint(folder: str | Path) -> Path | None:
    """Return the newest checkpoint: the interrupted one, else that of the last epoch."""
    interrupted = Path(folder) / INTERRUPTED
    if interrupted.is_file():
        return interrupted
    return max(Path(folder).glob(f"checkpoint_epoch_{'[0-9]' * 8}.pth"), default=None)


def find_checkpoint(folder: str | Path, epoch: int | str) -> Path:
    """Return the checkpoint of an epoch, or the newest one for "last"."""
    newest = newest_checkpoint(folder)
    path = newest if epoch == "last" else checkpoint_path(folder, epoch)
    if path and path.is_file():
        return path
    if newest is None:
        raise InputError(f"{folder}: no checkpoints; train.py writes one after each epoch")
    raise InputError(f"{folder}: no checkpoint of epoch {epoch}; the newest is {newest.name}")


def find_weights(folder: Path, weights: str, epoch: int | str) -> Path:
    """Return the file to load a network from.

    That is `weights` if it is a file, else the checkpoint of `epoch`, 0 for the newest one, in
    `weights` if given, else in `folder`.
    """
    if weights and not Path(weights).is_dir():
        return Path(weights)
    return find_checkpoint(weights or folder, epoch or "last")


def save_checkpoint(
    path: str | Path,
    network: R2N2,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    progress: Progress,
    **extra,
) -> None:
    """Write the state of a training, and `extra` (config, metrics), as one file, by rank 0.

    All ranks call this. The same training writes the same bytes. There is no random state: weights
    are drawn once, and samples depend on (seed, epoch, index) alone.

    Raises:
        NonFiniteError: If a weight, the optimizer's state or the loss is not finite; nothing is
            written then.
    """
    total = progress.all_reduce()
    if distributed.is_rank_zero():
        check_finite(network, optimizer, total)
        state = {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
        write_torch(path, network_state(network) | state | vars(total) | extra)
        print(f"written: {path}")
    distributed.barrier()  # torchrun ends all ranks when the first one leaves


class Checkpoint(NamedTuple):
    """What `save_checkpoint` wrote, and where."""

    path: Path
    content: dict


def load_checkpoint(path: str | Path) -> tuple[R2N2, Checkpoint]:
    """Load the network of a checkpoint, and all that was saved with it."""
    content = read_torch(path)
    network = network_from_state(content, path)
    missing = {"optimizer", "scaler", "config", *vars(Progress())} - content.keys()
    if missing:
        raise InputError(f"{path}: weights alone; train on from them with --init_weights={path}")
    return network, Checkpoint(Path(path), content)


def saved_config(path: Path) -> dict:
    """Return the options of the training that wrote a checkpoint; none of weights alone."""
    return read_torch(path).get("config", {}) if path.suffix == ".pth" else {}


def find_resumable(folder: Path, epoch: int | str) -> Path:
    """Return the checkpoint to resume from; refuse one that a later checkpoint follows."""
    path = find_checkpoint(folder, epoch)
    newest = newest_checkpoint(folder)
    if epoch != "last" and path != newest:
        raise InputError(
            f"{path}: {newest.name} follows it; move later checkpoints away or resume with "
            "--resume_epoch=last"
        )
    return path


def restore(
    checkpoint: Checkpoint, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> Progress:
    """Restore the state of optimizer and scaler; return the progress.

    Learning rate and weight decay stay those of this run.
    """
    content = checkpoint.content
    groups = optimizer.state_dict()["param_groups"]
    state = content["optimizer"]["state"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    if content["scaler"]:  # empty unless the precision was fp16
        scaler.load_state_dict(content["scaler"])
    return Progress(**{name: content[name] for name in vars(Progress())})


def check_same_batches(
    checkpoint: Checkpoint, progress: Progress, config: dict, world_size: int, train_split: str
) -> None:
    """Raise InputError if the rest of an epoch would have other batches than its beginning had.

    The options, the number of processes and the checksum of the training split are those of this
    run. Between two epochs, other ones are noted.
    """
    saved, changed = checkpoint.content, []
    if (saved_size := saved.get("world_size", world_size)) != world_size:
        changed.append(f"the number of processes (was {saved_size}, is {world_size})")
    if saved.get("train_split", train_split) != train_split:
        changed.append("the dataset or its split")
    if not progress.batches:
        if changed:
            print(f"note: {' and '.join(changed)} changed, and so do the batches")
        return
    changed += [name for name in BATCH_OPTIONS if config[name] != saved["config"].get(name)]
    if changed:
        raise InputError(
            f"{checkpoint.path}: cannot resume within its epoch: {', '.join(changed)} changed; "
            "remove it to restart the epoch"
        )


def prepare_network(
    config: Config, given: set[str], folder: Path
) -> tuple[Config, R2N2, Checkpoint | None]:
    """Build, load or resume the network; `given` are the names of the options that were given.

    Returns:
        tuple: The options, completed from the checkpoint or the weights; the network; the
            checkpoint to resume from, if any.
    """
    if config.resume_epoch != 0:
        network, resumed = load_checkpoint(find_resumable(folder, config.resume_epoch))
        config = _resumed_config(config, given, resumed.content["config"])
        return _with_options_of(network, config, given, resumed.path), network, resumed
    if newest_checkpoint(folder):
        raise InputError(
            f"{folder} already contains checkpoints; resume with --resume_epoch=last or choose "
            "another --experiment_name"
        )
    torch.manual_seed(config.seed)
    if config.init_weights:
        network = _network_to_fine_tune(config)
        return _with_options_of(network, config, given, config.init_weights), network, None
    options = VARIANTS[config.variant] | {"width": config.width, "resolution": config.resolution}
    return config, R2N2(config.network, **options), None


def _network_to_fine_tune(config: Config) -> R2N2:
    """Load the network of `init_weights`, with new layers if it has a lower resolution."""
    path, resolution = find_weights(Path(), config.init_weights, "last"), config.resolution
    network = load_network(path)
    network.threshold = THRESHOLD  # the stored one was chosen for the weights as they were
    if network.resolution < resolution:
        network, new_layers = with_resolution(network, resolution)
        print(f"{path}: new layers for {resolution}³ voxels: {' '.join(new_layers)}")
    return network


def _resumed_config(config: Config, given: set[str], saved: dict) -> Config:
    """Take the options that are not given from those of a checkpoint; print those that change."""
    if config.init_weights not in ("", saved["init_weights"]):
        raise InputError(
            "init_weights: the checkpoint to resume from has its own weights; leave out "
            "--init_weights or --resume_epoch"
        )
    taken = {}
    for name in DEFAULTS.keys() & saved.keys() - {*OWN_OPTIONS}:
        value = getattr(config, name)
        if name not in given or value == "auto":  # which could become another precision
            taken[name] = saved[name]
        elif value != saved[name]:
            print(f"{name}: {saved[name]} -> {value}")
    return Config(**vars(config) | taken)


def _with_options_of(network: R2N2, config: Config, given: set[str], path: str | Path) -> Config:
    """Return `config` with the options of the network from `path`; refuse others that are given."""
    found = {"network": network.name}
    found |= {name: network.options[name] for name in ("width", "resolution")}
    for variant, options in VARIANTS.items():
        if options.items() <= network.options.items():
            found["variant"] = variant
    for name in given & {*found, "variant"}:
        got = found.get(name, "neither")
        if (asked := getattr(config, name)) != got:
            raise InputError(
                f"{path}: these weights have {name} = {got}, not {name} = {asked} as asked; "
                "leave the option out"
            )
    return Config(**vars(config) | found)

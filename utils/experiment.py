"""The start of a training: its folder, and the network that it begins or resumes with."""

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from data.loader import TrainBatchSampler
from data.shapenet import collate
from models import R2N2, VARIANTS, build_network, load_network
from models.init import data_dependent_init
from models.network import THRESHOLD, with_resolution
from utils.checkpoint import find_resumable, load_checkpoint, newest_checkpoint
from utils.config import Config, resumed_config
from utils.engine import to_device
from utils.errors import InputError
from utils.files import TEMPORARY_SUFFIX


def prepare_network(config: Config, folder: Path) -> tuple[Config, R2N2, tuple | None]:
    """Build, load or resume the network.

    Returns:
        tuple: The options, completed from the checkpoint or the weights; the network; path and
            content of the checkpoint to resume from, if any.
    """
    if config.resume_epoch != 0:
        path = find_resumable(folder, config.resume_epoch)
        network, content = load_checkpoint(path)
        config = resumed_config(config, content["config"], path)
        return _with_options_of(network, config, path), network, (path, content)
    if newest_checkpoint(folder):
        raise InputError(
            f"{folder} already contains checkpoints; resume with --resume_epoch=last or choose "
            "another --experiment_name"
        )
    if config.init_weights:
        if config.init == "data":
            print("init = data is ignored: init_weights gives the weights")
        network = load_network(config.init_weights)
        network.threshold = THRESHOLD  # the stored one was chosen for the weights as they were
        if network.resolution < config.resolution:
            torch.manual_seed(config.seed)
            network, new_layers = with_resolution(network, config.resolution)
            print(
                f"{config.init_weights}: new layers for {config.resolution}³ voxels:", *new_layers
            )
        return _with_options_of(network, config, config.init_weights), network, None
    torch.manual_seed(config.seed)
    options = VARIANTS[config.variant] | {"width": config.width, "resolution": config.resolution}
    return config, build_network(config.network, **options), None


def _with_options_of(network: R2N2, config: Config, path: str | Path) -> Config:
    """Return `config` with the options of the network from `path`; refuse others that are given."""
    found = {"network": network.name}
    found |= {name: network.options[name] for name in ("width", "resolution")}
    for variant, options in VARIANTS.items():
        if options.items() <= network.options.items():
            found["variant"] = variant
    for name in config.given & {*found, "variant"}:
        got = found.get(name, "the options of neither variant")
        if (expected := getattr(config, name)) != got:
            raise InputError(f"{path}: expected {name} = {expected}, got {got}")
    return replace(config, **found)


def init_from_data(network: R2N2, dataset, indices: list[int], config: Config, device) -> None:
    """Scale the layers of a new network by the first images of 24 samples."""
    num_views = min(2, config.max_views)
    sampler = TrainBatchSampler(indices, 24, num_views, num_views, config.seed)
    images, voxels, _ = collate([dataset[key] for key in next(iter(sampler))])
    data_dependent_init(network, to_device(images, voxels, device)[0])


@contextmanager
def experiment_lock(folder: Path):
    """Keep a second training out of `folder`, which is made; the lock ends with this process.

    Leftovers of a killed training's unfinished writes are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "training.lock"
    with open(path, "a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError:
            raise InputError(
                f"{folder}: in use by another training; choose another --experiment_name"
            ) from None
        for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            leftover.unlink()
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps open files; a folder with checkpoints stays
                path.unlink()
                folder.rmdir()


def _lock(file) -> None:
    try:
        import fcntl  # lockf, not flock: DataLoader workers would inherit a flock and keep it
    except ImportError:
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink == 0:
            raise OSError("removed by the training that held it")

"""Train 3D-R2N2: python train.py --cfg=my.ini"""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from data.loading import make_loader, open_dataset
from data.sampling import EvalBatchSampler, TrainBatchSampler
from data.shapenet import ShapeNetDataset, ShapeNetIndex, collate
from models import R2N2, VARIANTS, build_network
from models.weights import check_network
from utils import distributed
from utils.checkpoint import (
    checkpoint_path,
    find_checkpoint,
    load_checkpoint,
    load_network,
    newest_checkpoint,
    remove_interrupted,
    restore,
    save_checkpoint,
)
from utils.config import Config, read_config, resumed_config, write_ini
from utils.engine import (
    NonFiniteError,
    Progress,
    check_weights,
    choose_device,
    evaluate,
    learning_rate,
    make_optimizer,
    to_device,
    train_one_epoch,
)
from utils.errors import InputError, Interrupted, run
from utils.interruption import Interruption
from utils.lock import locked
from utils.precision import Precision
from utils.tensorboard import TensorBoardLogger


def main() -> None:
    config = read_config(Config, __doc__)
    device, rank, processes = distributed.start(choose_device(config.device))
    folder = Path(config.saved_models_path) / config.experiment_name
    try:
        with locked(folder) if rank == 0 else nullcontext():
            Training(config, folder, device, rank, processes).run()
    except NonFiniteError as error:
        good = newest_checkpoint(folder) or "none was written"
        raise InputError(f"{error}; the last good checkpoint: {good}") from None
    distributed.stop()


class Training:
    """What all epochs share, how far they have come, and the loop over them."""

    def __init__(self, config, folder: Path, device: torch.device, rank: int, processes: int):
        config, self.network, resumed = prepare_network(config, folder)
        self.config, self.folder, self.device, self.rank = config, folder, device, rank
        with distributed.rank_zero_first():  # the first one may have to build the dataset
            index, parts = open_dataset(
                config.database_path, config.split_file, config.val_fraction
            )
        if not parts["train"]:
            raise InputError(f"{index.root}: expected objects in the training part, found none")

        self.network.to(device)
        self.network.recompute = config.grad_checkpointing
        self.optimizer = make_optimizer(self.network, config.LR, config.weight_decay)
        self.precision = Precision(config.precision, device)
        self.done, self.steps, self.running = 0, 0, Progress()  # epochs, their steps, the next one
        if resumed:
            state = restore(*resumed, self.optimizer, self.precision.scaler)
            self.done, self.steps, self.running = state
        if self.done >= config.num_epochs:
            raise InputError(f"num_epochs: expected more than the {self.done} epochs done already")
        self.train_loader, self.val_loader = make_loaders(
            config, self.network.image_size, index, parts, device, rank, processes
        )
        if config.init == "data" and not config.init_weights and not resumed:
            fit_start(self.network, self.train_loader.dataset, parts["train"], config, device)
        self.trained_network = prepare_forward(self.network, config, processes)
        if self.running.batches:
            check_same_epoch(config, *resumed, self.running, self.train_loader.batch_sampler)
        self.running = self.running.shard(rank, device)
        self.interruption = Interruption()
        self.train_loader.check = self.interruption.check
        if processes == 1:  # several have unequal numbers of batches to check between
            self.val_loader.check = self.interruption.check
        self.validates = bool(parts["val"])
        if rank == 0:
            write_ini(folder / "config.ini", config)
            shown = parts["val"] or parts["train"]
            self.logbook = TensorBoardLogger(folder, self.steps, self.val_loader.dataset, shown)

    def run(self) -> None:
        if self.rank == 0 and not self.running.batches:
            remove_interrupted(self.folder)
        with self.interruption:
            try:
                while self.done < self.config.num_epochs:
                    self.run_epoch(self.done + 1)
            except Interrupted:
                if self.running.batches:
                    self.save(self.done + 1, running=self.running.all_reduce())
                    print("go on with --resume_epoch=last")
                raise
            finally:
                if self.rank == 0:
                    self.logbook.close()

    def run_epoch(self, epoch: int) -> None:
        """Train from where the epoch was left, if it was; then validate and save."""
        scalars = self.train_epoch(epoch)
        metrics = {"train": self.running.means()}
        if self.validates:
            thresholds = [self.config.threshold]
            measured = evaluate(
                self.network, self.val_loader, self.precision, thresholds, "validation"
            )
            loss, iou = measured["loss"][:, -1].mean(), measured["iou"][:, -1].mean()
            metrics["val"] = {"loss": float(loss), "iou": float(iou)}
            print(f"validation: loss {loss:.4f}, IoU {iou:.4f}")
        self.done, self.steps = epoch, self.steps + self.running.batches
        self.running = Progress().shard(self.rank, self.device)
        self.save(epoch, metrics=metrics)
        if self.rank == 0:
            remove_interrupted(self.folder)
            for part, values in metrics.items():
                scalars |= {f"{name}/{part}": value for name, value in values.items()}
            self.logbook.write(self.steps, scalars, self.network, self.device, self.config)
            if self.validates:
                self.logbook.write_categories(self.steps, measured)

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Take the steps that are left of an epoch. Returns scalars for the logbook."""
        config, running = self.config, self.running
        self.train_loader.batch_sampler.begin(epoch, running.batches)
        steps = running.batches + len(self.train_loader)  # of a whole epoch
        left = range((epoch - 1) * steps + running.batches, epoch * steps)
        rates = [learning_rate(config, step, steps) for step in left]
        speed = train_one_epoch(
            self.trained_network,
            self.train_loader,
            self.optimizer,
            self.precision,
            config.threshold,
            rates,
            self.title(epoch),
            running,
        )
        last_rate = learning_rate(config, epoch * steps - 1, steps)
        return {"learning_rate": last_rate, "objects_per_second/train": speed}

    def save(self, epoch: int, **state) -> None:
        """Write the checkpoint of an epoch's end or, with `running`, of a moment within it."""
        if self.rank == 0:
            check_weights(self.network, self.title(epoch))
            path = checkpoint_path(self.folder, epoch, within="running" in state)
            state |= {"epoch": epoch, "step": self.steps, "config": self.config.to_dict()}
            save_checkpoint(path, self.network, self.optimizer, self.precision.scaler, **state)
            print(f"written: {path}")
        distributed.barrier()  # the first to leave would have torchrun end the others

    def title(self, epoch: int) -> str:
        return f"epoch {epoch}/{self.config.num_epochs}"


def prepare_network(config: Config, folder: Path):
    """Return the options, the network, and the checkpoint to resume from (path, content) or None.

    Options that are not given come from the checkpoint, those of the network from `init_weights`.
    """
    if config.resume_epoch != 0:
        path = find_checkpoint(folder, config.resume_epoch)
        if config.resume_epoch != "last":
            epochs = (other.name for other in folder.glob("checkpoint_epoch_*.pth"))
            if later := [name for name in epochs if name > path.name]:
                raise InputError(
                    f"{path}: expected the last epoch there is, found {min(later)} as well: "
                    "move what comes later away, or go on with --resume_epoch=last"
                )
        network, content = load_checkpoint(path)
        config = resumed_config(config, content["config"], path)
        check_network(network, path, config.network, network_options(config))
        return config, network, (path, content)
    if newest_checkpoint(folder):
        raise InputError(
            f"{folder} holds a training already: "
            "go on with it (--resume_epoch=last) or choose another --experiment_name"
        )
    torch.manual_seed(config.seed)
    if not config.init_weights:
        return config, build_network(config.network, **network_options(config)), None
    network = load_network(config.init_weights)
    return with_options_of(network, config), network, None


def network_options(config: Config) -> dict:
    return {**VARIANTS[config.variant], "leaky_slope": 0.01, "width": config.width}


def with_options_of(network: R2N2, config: Config) -> Config:
    """Return the options with network, variant and width as in `network`, from `init_weights`."""
    matching = [n for n, o in VARIANTS.items() if o.items() <= network.options.items()]
    if not matching:
        raise InputError(f"{config.init_weights}: expected a network of a published variant")
    found = {"network": network.name, "variant": matching[0], "width": network.options["width"]}
    for name in config.given & found.keys():
        if (expected := getattr(config, name)) != found[name]:
            raise InputError(
                f"{config.init_weights}: expected {name} = {expected}, got {found[name]}"
            )
    return replace(config, **found)


def fit_start(network: R2N2, samples: ShapeNetDataset, members: list[int], config, device) -> None:
    """Scale the weights of a new network by the first pictures of 24 objects."""
    views = min(2, config.max_views)
    draws = next(iter(TrainBatchSampler(members, 24, views, views, config.seed)))
    images, voxels, _ = collate([samples[draw] for draw in draws])
    network.data_dependent_init(to_device(images, voxels, device)[0])


def check_same_epoch(
    config, path: Path, content: dict, running: Progress, batches: TrainBatchSampler
) -> None:
    """Refuse to go on within an epoch whose batches would be others than when it began."""
    same = ("seed", "batch_size", "min_views", "max_views", "split_file", "val_fraction")
    before = {name: content["config"].get(name) for name in same}
    changed = [name for name in same if getattr(config, name) != before[name]]
    seen = running.sums[2]
    if not (0 < running.batches <= len(batches) and seen == batches.objects(running.batches)):
        changed += ["the processes", "the dataset"]
    if changed:
        raise InputError(
            f"{path}: expected {' and '.join(changed)} as when its epoch began; "
            "without this file the epoch begins anew"
        )


def make_loaders(config, image_size: int, index: ShapeNetIndex, parts, device, rank, processes):
    """The loaders of training and validation, of this process alone where there are several."""
    views, share = (config.min_views, config.max_views), (rank, processes)
    train_batches = TrainBatchSampler(
        parts["train"], config.batch_size, *views, config.seed, *share
    )
    val_members = parts["val"][rank::processes]
    val_batches = EvalBatchSampler(val_members, config.batch_size, config.max_views)
    make_samples = partial(ShapeNetDataset, index, image_size, config.seed)
    train_samples = make_samples(training=True, varied=config.augmentation == "strong")
    val_samples = make_samples(training=False)
    loading = {"num_workers": config.num_workers, "pin": device.type == "cuda"}
    return tuple(
        make_loader(samples, batches, **loading)
        for samples, batches in ((train_samples, train_batches), (val_samples, val_batches))
    )


def prepare_forward(network: R2N2, config, processes: int):
    """What is called in training: the network, compiled or shared by processes as may be asked."""
    if config.compile:
        network.compile()
    if processes > 1:
        return torch.nn.parallel.DistributedDataParallel(network)
    return network


if __name__ == "__main__":
    run(main)

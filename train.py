"""Train 3D-R2N2: python train.py --cfg=my.ini"""

from functools import partial
from pathlib import Path

import torch

from data.loading import make_loader, open_dataset
from data.sampling import EvaluationBatches, TrainingBatches
from data.shapenet import Index, Samples
from models import R2N2, build_network
from utils import distributed
from utils.checkpoint import (
    checkpoint_path,
    find_checkpoint,
    find_weights,
    load_checkpoint,
    load_network,
    save_checkpoint,
)
from utils.config import network_options, read_config, write_ini
from utils.engine import choose_device, evaluate, learning_rate, make_optimizer, train_one_epoch
from utils.errors import UserError, run
from utils.logbook import Logbook
from utils.precision import Precision


def main() -> None:
    config = read_config("train", __doc__)
    device, rank, processes = distributed.start(choose_device(config.device))
    folder = Path(config.saved_models_path) / config.experiment_name
    torch.manual_seed(config.seed)
    network, resumed = prepare_network(config, folder)
    with distributed.first_before_others():  # the first one may have to build the dataset
        index, parts = open_dataset(config.database_path, config.split_file, config.val_portion)
    if not parts["train"]:
        raise UserError(f"{index.root}: expected objects in the training part, found none")

    network.to(device)
    network.recompute = config.recompute == "yes"
    optimizer = make_optimizer(network, config.LR, config.weight_decay)
    precision = Precision(config.precision, device)
    done, step = 0, 0
    if resumed:
        done, step = resumed["epoch"], resumed["step"]
        optimizer.load_state_dict(resumed["optimizer"])
        precision.scaler.load_state_dict(resumed["scaler"])
        torch.set_rng_state(resumed["random"])
    if done >= config.num_epochs:
        raise UserError(f"num_epochs: expected more than the {done} epochs done already")
    trained_network = prepare_forward(network, config, processes)

    train_loader, val_loader = make_loaders(config, index, parts, device, rank, processes)
    logbook = None
    if rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        write_ini(folder / "config.ini", config)
        logbook = Logbook(folder, step, val_loader.dataset, parts["val"] or parts["train"])
    for epoch in range(done + 1, config.num_epochs + 1):
        train_loader.batch_sampler.epoch = epoch
        network.coarse = epoch <= config.coarse_epochs
        title = f"epoch {epoch}/{config.num_epochs}"
        steps = len(train_loader)
        first = (epoch - 1) * steps
        rates = [learning_rate(config, count, steps) for count in range(first, first + steps)]
        trained = train_one_epoch(
            trained_network, train_loader, optimizer, precision, config.threshold, rates, title
        )
        network.coarse = False
        step += steps
        validated = {}
        if parts["val"]:
            measured = evaluate(network, val_loader, precision, [config.threshold], "validation")
            loss, iou = measured["loss"][:, -1].mean(), measured["iou"][:, -1].mean()
            validated = {"loss": float(loss), "iou": float(iou)}
        metrics = {"train": trained, "val": validated}
        if rank == 0:
            path = checkpoint_path(folder, epoch)
            progress = {"epoch": epoch, "step": step, "metrics": metrics, "config": vars(config)}
            save_checkpoint(path, network, optimizer, precision.scaler, **progress)
            logbook.write(step, metrics, rates[-1], network, device, config)
            if validated:
                logbook.write_categories(step, measured)
            scores = " ".join(f"{name} {value:.4f}" for name, value in validated.items())
            print(f"validation: {scores or 'no objects'}; written: {path}")
    if logbook:
        logbook.close()
    distributed.stop()


def prepare_network(config, folder: Path) -> tuple[R2N2, dict | None]:
    """A new network, or the one to go on with and what its checkpoint holds besides."""
    if config.resume_epoch != 0:
        path = find_checkpoint(folder, config.resume_epoch)
        network, content = load_checkpoint(path)
        check_network(network, config, path)
        return network, content
    if any(folder.glob("checkpoint_epoch_*.pth")):
        raise UserError(
            f"{folder} holds a training already: "
            "go on with it (--resume_epoch=last) or choose another --experiment_name"
        )
    if config.weights:
        network = load_network(find_weights(folder, config.weights, 0))
        check_network(network, config, config.weights)
        return network, None
    return build_network(config.network, **network_options(config)), None


def check_network(network: R2N2, config, path) -> None:
    """Refuse a network from `path` that is not the one that the configuration describes."""
    expected, found = (config.network, network_options(config)), (network.name, network.options)
    if found != expected:
        raise UserError(
            f"{path}: expected {expected[0]} {expected[1]}, found {found[0]} {found[1]}"
        )


def make_loaders(config, index: Index, parts: dict, device, rank: int, processes: int):
    """The loaders of training and validation, of this process alone where there are several."""
    views, share = (config.min_views, config.max_views), (rank, processes)
    train_batches = TrainingBatches(parts["train"], config.batch_size, *views, config.seed, *share)
    val_members = parts["val"][rank::processes]
    val_batches = EvaluationBatches(val_members, config.batch_size, config.max_views)
    make_samples = partial(Samples, index, config.image_size, config.seed)
    train_samples = make_samples(training=True, varied=config.varied == "yes")
    val_samples = make_samples(training=False)
    loading = {"num_workers": config.num_workers, "pin": device.type == "cuda"}
    return tuple(
        make_loader(samples, batches, **loading)
        for samples, batches in ((train_samples, train_batches), (val_samples, val_batches))
    )


def prepare_forward(network: R2N2, config, processes: int):
    """What is called in training: the network, compiled or shared by processes as may be asked."""
    if config.compile == "yes":
        network.compile()
    if processes > 1:
        return torch.nn.parallel.DistributedDataParallel(network)
    return network


if __name__ == "__main__":
    run(main)

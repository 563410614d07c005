"""Train 3D-R2N2: python train.py --cfg=my.ini"""

from pathlib import Path

import torch

from data.loading import make_loader, open_dataset
from data.sampling import EvaluationBatches, TrainingBatches
from data.shapenet import Samples
from models import R2N2, build_network
from utils.checkpoint import checkpoint_path, find_checkpoint, load_checkpoint, save_checkpoint
from utils.config import network_options, read_config, write_ini
from utils.engine import choose_device, evaluate, learning_rate, make_optimizer, train_one_epoch
from utils.errors import UserError, run
from utils.logbook import Logbook


def main() -> None:
    config = read_config("train", __doc__)
    device = choose_device(config.device)
    folder = Path(config.saved_models_path) / config.experiment_name
    torch.manual_seed(config.seed)
    network, resumed = prepare_network(config, folder)
    index, parts = open_dataset(config.database_path, config.split_file, config.val_portion)
    if not parts["train"]:
        raise UserError(f"{index.root}: expected objects in the training part, found none")

    network.to(device)
    optimizer = make_optimizer(network, config.LR, config.weight_decay)
    done, step = 0, 0
    if resumed:
        done, step = resumed["epoch"], resumed["step"]
        optimizer.load_state_dict(resumed["optimizer"])
        torch.set_rng_state(resumed["random"])
    if done >= config.num_epochs:
        raise UserError(f"num_epochs: expected more than the {done} epochs done already")

    views = config.min_views, config.max_views
    train_batches = TrainingBatches(parts["train"], config.batch_size, *views, config.seed)
    val_batches = EvaluationBatches(parts["val"], config.batch_size, config.max_views)
    loading = {"num_workers": config.num_workers, "pin": device.type == "cuda"}
    train_samples = Samples(index, network.image_size, config.seed, training=True)
    val_samples = Samples(index, network.image_size, config.seed, training=False)
    train_loader = make_loader(train_samples, train_batches, **loading)
    val_loader = make_loader(val_samples, val_batches, **loading)

    folder.mkdir(parents=True, exist_ok=True)
    write_ini(folder / "config.ini", config)
    with Logbook(folder, step, val_samples, parts["val"] or parts["train"]) as logbook:
        for epoch in range(done + 1, config.num_epochs + 1):
            train_batches.epoch = epoch
            rate = learning_rate(config.LR, epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            title = f"epoch {epoch}/{config.num_epochs}"
            trained = train_one_epoch(
                network, train_loader, optimizer, device, config.threshold, title
            )
            step += len(train_batches)
            validated = {}
            if parts["val"]:
                measured = evaluate(network, val_loader, device, [config.threshold], "validation")
                loss, iou = measured["loss"][:, -1].mean(), measured["iou"][:, -1].mean()
                validated = {"loss": float(loss), "iou": float(iou)}
            metrics = {"train": trained, "val": validated}
            path = checkpoint_path(folder, epoch)
            save_checkpoint(
                path,
                network,
                optimizer,
                epoch=epoch,
                step=step,
                metrics=metrics,
                config=vars(config),
            )
            logbook.write(step, metrics, rate, network, device, config)
            scores = "no objects"
            if validated:
                scores = f"loss {validated['loss']:.4f}, IoU {validated['iou']:.4f}"
            print(f"validation: {scores}; written: {path}")


def prepare_network(config, folder: Path) -> tuple[R2N2, dict | None]:
    """A new network, or the one to go on with and what its checkpoint holds besides."""
    options = network_options(config)
    if config.resume_epoch != 0:
        path = find_checkpoint(folder, config.resume_epoch)
        network, content = load_checkpoint(path)
        if (network.name, network.options) != (config.network, options):
            raise UserError(
                f"{path}: expected {config.network} {options}, "
                f"found {network.name} {network.options}"
            )
        return network, content
    if any(folder.glob("checkpoint_epoch_*.pth")):
        raise UserError(
            f"{folder} holds a training already: "
            "go on with it (--resume_epoch=last) or choose another --experiment_name"
        )
    return build_network(config.network, **options), None


if __name__ == "__main__":
    run(main)

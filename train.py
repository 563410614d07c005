"""Train 3D-R2N2: python train.py --cfg=my.ini"""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from torch.nn.parallel import DistributedDataParallel

from data.datasets import open_dataset
from data.loader import LoadingError, TrainBatchSampler, eval_batches, make_loader
from data.shapenet import SampleKey, ShapeNetDataset, ShapeNetIndex
from models import checkpoint
from models.checkpoint import experiment_lock, init_from_data, prepare_network, save_checkpoint
from models.predictor import Predictor
from utils import distributed
from utils.config import Config, read_config, write_ini
from utils.distributed import Precision, choose_device
from utils.engine import (
    NonFiniteError,
    Progress,
    evaluate,
    make_optimizer,
    train_one_epoch,
)
from utils.errors import InputError, Interrupted, Parser, run
from utils.signals import catch_stop_signals
from utils.tensorboard import TensorBoardLogger

NUM_SHOWN = 4  # samples drawn in TensorBoard


def main() -> None:
    config, given = read_config(Parser(description=__doc__))
    device = choose_device(config.device)
    rank, world_size = distributed.init(device)
    folder = Path(config.saved_models_path) / config.experiment_name
    lock = experiment_lock(folder) if rank == 0 else nullcontext()
    with lock, catch_stop_signals(), distributed.explain_failed_peer():
        try:
            train(config, given, folder, device, rank, world_size)
        except NonFiniteError as error:
            good = checkpoint.newest_checkpoint(folder) or "none"
            raise InputError(f"{error}; last good checkpoint: {good}") from None
    distributed.shutdown()


def train(
    config: Config, given: set[str], folder: Path, device, rank: int, world_size: int
) -> None:
    config, network, resumed = prepare_network(config, given, folder)
    if config.threshold is None:
        config.threshold = network.threshold
    network.threshold = config.threshold
    with distributed.rank_zero_first():  # rank 0 may have to build the synthetic dataset
        index, splits = open_dataset(
            config.database_path, config.split_file, config.val_fraction, config.categories
        )
    if not splits["train"]:
        raise InputError(f"{index.root}: no samples in 'train'")
    index.require_views(splits["train"] + splits["val"], config.max_views)

    views = config.min_views, config.max_views
    train_sampler = TrainBatchSampler(
        splits["train"], config.batch_size, *views, config.seed, rank, world_size
    )
    val_batches = eval_batches(splits["val"][rank::world_size], config.batch_size, views[1])
    make_dataset = partial(
        ShapeNetDataset, index, network.image_size, config.seed, resolution=network.resolution
    )
    train_dataset = make_dataset(training=True, augmentation=config.augmentation)
    loading = {"num_workers": config.num_workers, "pin_memory": device.type == "cuda"}
    train_loader = make_loader(train_dataset, train_sampler, **loading)
    val_loader = make_loader(make_dataset(training=False), val_batches, **loading)

    network.to(device).grad_checkpointing = config.grad_checkpointing
    optimizer = make_optimizer(network, config.LR, config.weight_decay)
    precision = Precision(config.precision, device)
    progress = Progress()
    if resumed:
        progress = checkpoint.restore(resumed, optimizer, precision.scaler)
        checkpoint.check_same_batches(resumed, config, progress, train_sampler)
    elif config.init == "data" and not config.init_weights:
        init_from_data(network, train_dataset, splits["train"], config, device)
    if progress.epoch >= config.num_epochs:
        raise InputError(
            f"num_epochs: all {progress.epoch} epochs are finished; raise it to continue"
        )
    progress = progress.shard(rank, device)
    if config.compile:
        network.compile()
    wrapped = DistributedDataParallel(network) if world_size > 1 else network

    if rank == 0:
        predictor = Predictor(network, device, config.precision)
        logger = TensorBoardLogger(
            folder,
            progress.step,
            config.num_epochs,
            shown_samples(val_loader.dataset, splits["val"] or splits["train"], config.max_views),
            lambda images: predictor.predict(images) >= config.threshold,
        )
        write_ini(folder / "config.ini", config)

    def save(path: Path, **metrics: dict) -> None:
        total = progress.all_reduce()
        if rank == 0:
            extra = {"config": vars(config), "metrics": metrics, "world_size": world_size}
            save_checkpoint(path, network, optimizer, precision.scaler, total, **extra)
            print(f"written: {path}")
        distributed.barrier()  # torchrun ends all ranks when the first one leaves

    try:
        while progress.epoch < config.num_epochs:
            scalars = train_one_epoch(wrapped, train_loader, optimizer, precision, config, progress)
            metrics = {"train": {name: scalars.pop(name) for name in ("loss", "iou")}}
            if splits["val"]:
                evaluation = evaluate(network, val_loader, precision, [config.threshold])
                means, of_categories = report_validation(evaluation, index)
                metrics, scalars = metrics | means, scalars | of_categories
            progress.finish_epoch()
            save(checkpoint.checkpoint_path(folder, progress.epoch), **metrics)
            if rank == 0:
                (folder / checkpoint.INTERRUPTED).unlink(missing_ok=True)
                for split, values in metrics.items():
                    scalars |= {f"{name}/{split}": value for name, value in values.items()}
                logger.write(progress.step, progress.epoch, scalars)
    except (Interrupted, LoadingError) as error:
        # Other ranks do not know of a LoadingError, and saving needs them.
        if progress.batches and (world_size == 1 or isinstance(error, Interrupted)):
            save(folder / checkpoint.INTERRUPTED)
            print("to continue: --resume_epoch=last")
        raise
    finally:
        if rank == 0:
            logger.close()


def shown_samples(dataset: ShapeNetDataset, indices: list[int], num_views: int) -> list[tuple]:
    """Return name, views and voxels of the first few samples, for TensorBoard."""
    samples = []
    for i in indices[:NUM_SHOWN]:
        views, voxels, _ = dataset[SampleKey(i, 0, num_views)]
        name = f"{dataset.index.category(i)} {dataset.index.names[i].partition('/')[2]}"
        samples.append((name, views, voxels.astype(bool)))
    return samples


def report_validation(
    evaluation: dict, index: ShapeNetIndex
) -> tuple[dict[str, dict], dict[str, float]]:
    """Print and return the loss and IoU for 1, 3, 5 and all views, and the IoU by category."""
    categories = np.array([index.category(i) for i in evaluation["index"]])
    values = {"loss": evaluation["loss"], "iou": evaluation["iou"][..., 0]}  # (N, V)
    means = {name: value.mean(0, dtype=float).tolist() for name, value in values.items()}
    metrics = {"val": {name: mean[-1] for name, mean in means.items()}}
    max_views = len(means["loss"])
    for num_views in sorted({v for v in (1, 3, 5) if v < max_views} | {max_views}):
        loss, iou = (mean[num_views - 1] for mean in means.values())
        if num_views in (1, 3, 5):
            metrics[f"val_{num_views}_views"] = {"loss": loss, "iou": iou}
        print(f"validation, views: {num_views}, loss: {loss:.4f}, IoU: {iou:.4f}")
    of_all_views = values["iou"][:, -1]
    ious = {c: of_all_views[categories == c].mean() for c in sorted(set(categories.tolist()))}
    rows = (f"{category} {iou:.3f}" for category, iou in ious.items())
    print(f"validation, views: {max_views}, IoU by category: {', '.join(rows)}")
    return metrics, {f"iou by category/{category}": iou for category, iou in ious.items()}


if __name__ == "__main__":
    run(main)

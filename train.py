"""Train 3D-R2N2: python train.py --cfg=my.ini"""

from contextlib import nullcontext
from pathlib import Path

from torch.nn.parallel import DistributedDataParallel

from data.datasets import open_dataset
from data.loader import Loader, TrainBatchSampler, eval_batches, make_loader
from data.shapenet import ShapeNetDataset
from models import R2N2, checkpoint
from models.predictor import Predictor
from utils import distributed
from utils.config import Config, read_config, write_ini
from utils.engine import NonFiniteError, Progress, evaluate, make_optimizer, train_one_epoch
from utils.errors import InputError, Interrupted, Parser, run
from utils.files import experiment_lock
from utils.metrics import report_validation
from utils.results import checksum
from utils.signals import catch_stop_signals
from utils.tensorboard import TensorBoardLogger


def main() -> None:
    config, given = read_config(Parser(description=__doc__))
    device = distributed.choose_device(config.device)
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


def train(config: Config, given: set, folder: Path, device, rank: int, world_size: int) -> None:
    # The network: a new one, one to fine-tune, or that of the checkpoint to resume from.
    config, network, resumed = checkpoint.prepare_network(config, given, folder)
    config.threshold = network.threshold = config.threshold or network.threshold
    network.to(device).grad_checkpointing = config.grad_checkpointing

    # The dataset and its split. Rank 0 goes first: it may have to build the synthetic dataset.
    with distributed.rank_zero_first():
        index, splits = open_dataset(
            config.database_path, config.split_file, config.val_fraction, config.categories
        )
    index.require_views(splits["train"] + splits["val"], config.max_views)

    # The loaders. Each rank gets its share of every training batch and of the validation samples.
    size = network.image_size, network.resolution
    train_set = ShapeNetDataset(index, *size, config.seed, config.augmentation)
    val_set = ShapeNetDataset(index, *size)
    views = config.min_views, config.max_views
    sampler = TrainBatchSampler(
        splits["train"], config.batch_size, *views, config.seed, rank, world_size
    )
    val_batches = eval_batches(splits["val"][rank::world_size], config.batch_size, config.max_views)
    loading = {"num_workers": config.num_workers, "pin_memory": device.type == "cuda"}
    train_loader = make_loader(train_set, sampler, **loading)
    val_loader = make_loader(val_set, val_batches, **loading)

    # The optimizer, and how far the training has come.
    optimizer, progress = make_optimizer(network, config.LR, config.weight_decay), Progress()
    precision = distributed.Precision(config.precision or "auto", device)
    if config.precision != precision.name:
        print(f"precision = {precision.name} (auto)")
    config.precision = precision.name
    train_split = checksum([f"{i} {index.names[i]}" for i in splits["train"]])
    extra = {"config": vars(config), "world_size": world_size, "train_split": train_split}
    if resumed:
        progress = checkpoint.restore(resumed, optimizer, precision.scaler)
        checkpoint.check_same_batches(resumed, progress, **extra)
    if progress.epoch >= config.num_epochs:
        raise InputError(f"num_epochs: {progress.epoch} epochs are finished; raise it to continue")
    progress = progress.shard(rank, device)
    if config.compile:
        network.compile()
    wrapped = DistributedDataParallel(network) if world_size > 1 else network

    # The records: the options of this run, TensorBoard, and what a checkpoint holds.
    if rank == 0:
        predictor = Predictor(network, device, config.precision)
        logger = TensorBoardLogger(
            folder,
            progress.step,
            config.num_epochs,
            val_set.examples((splits["val"] or splits["train"])[:4], config.max_views),
            lambda images: predictor.predict(images) >= config.threshold,
        )
        write_ini(folder / "config.ini", config)
    state = network, optimizer, precision.scaler, progress

    # The epochs, each with a validation and a checkpoint.
    try:
        while progress.epoch < config.num_epochs:
            scalars = train_one_epoch(wrapped, train_loader, optimizer, precision, config, progress)
            metrics = {"train": {name: scalars.pop(name) for name in ("loss", "iou")}}
            if splits["val"]:
                means, of_categories = validate(network, val_loader, precision, config.threshold)
                metrics, scalars = metrics | means, scalars | of_categories
            progress.finish_epoch()
            path = checkpoint.checkpoint_path(folder, progress.epoch)
            checkpoint.save_checkpoint(path, *state, metrics=metrics, **extra)
            if rank == 0:
                (folder / checkpoint.INTERRUPTED).unlink(missing_ok=True)
                for split, values in metrics.items():
                    scalars |= {f"{name}/{split}": value for name, value in values.items()}
                logger.write(progress.step, progress.epoch, scalars)
    except (Interrupted, Exception) as error:
        # Saving needs all ranks: they stop together, but do not know of an error of one of them.
        alone = world_size == 1 and not isinstance(error, NonFiniteError)
        if progress.batches and (alone or isinstance(error, Interrupted)):
            checkpoint.save_checkpoint(folder / checkpoint.INTERRUPTED, *state, **extra)
            print("to continue: --resume_epoch=last")
        raise
    finally:
        if rank == 0:
            logger.close()


def validate(network: R2N2, loader: Loader, precision, threshold: float) -> tuple[dict, dict]:
    """Evaluate on the validation split; return the means, and the IoU of each category."""
    evaluation = evaluate(network, loader, precision, [threshold])
    categories = [loader.dataset.index.category(i) for i in evaluation["index"]]
    return report_validation(evaluation, categories)


if __name__ == "__main__":
    run(main, out_of_memory="use --grad_checkpointing or a smaller --batch_size")

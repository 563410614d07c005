"""Speed of training and evaluation on a device, stage by stage, loading included.

python -m tests.throughput --device=cuda --precision=bf16
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict, deque
from pathlib import Path

import torch

from data.loader import TrainBatchSampler, eval_batches, make_loader
from data.shapenet import ShapeNetDataset, ShapeNetIndex, index_dataset
from models import NETWORKS, build_network
from tests.helpers import make_dataset
from utils.config import Config
from utils.distributed import Precision, choose_device
from utils.engine import Progress, evaluate, make_optimizer, to_device, train_one_epoch
from utils.metrics import intersection_over_union, voxel_loss
from utils.parallel import num_cores

WARM_UP = 3  # steps: memory is allocated, algorithms are chosen, the network is compiled


class Training:
    """A network in training on a device, and what `args` says about its batches."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.device = args, choose_device(args.device)
        torch.manual_seed(0)
        self.network = build_network(args.network, width=args.width).to(self.device)
        self.optimizer = make_optimizer(self.network, 1e-4, 5e-5)
        self.precision = Precision(args.precision, self.device)
        if args.compile:
            self.network.compile()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def loader(self, index: ShapeNetIndex, num_batches: int, *, training: bool = True):
        """Return a loader of so many full batches; shapes repeat."""
        args, num_shapes = self.args, len(index.names)
        augmentation = "paper" if training else None
        dataset = ShapeNetDataset(index, self.network.image_size, augmentation=augmentation)
        indices = [i % num_shapes for i in range(num_batches * args.batch_size)]
        views = args.views, args.views
        sampler = (
            TrainBatchSampler(indices, args.batch_size, *views, seed=0)
            if training
            else eval_batches(indices, args.batch_size, args.views)
        )
        return make_loader(dataset, sampler, args.workers, pin_memory=self.device.type == "cuda")

    def stage_times(self, images, voxels) -> dict[str, float]:
        """Return the median seconds of each stage of a training step; the device is waited for."""
        times, last = defaultdict(list), time.perf_counter()

        def mark(stage: str) -> None:
            nonlocal last
            self.synchronize()
            now = time.perf_counter()
            times[stage].append(now - last)
            last = now

        hook = self.optimizer.register_step_pre_hook(lambda *_: mark("backward"))
        for _ in range(WARM_UP + self.args.steps):
            mark("between steps")
            on_device = to_device(images, voxels, self.device)
            mark("copy to the device")
            with self.precision.autocast():
                logits = self.network(on_device[0]).float()
            losses = voxel_loss(logits, on_device[1])
            mark("forward")
            self.precision.step(losses.mean(), self.optimizer)
            mark("optimizer")
            intersection_over_union(logits, on_device[1], 0.4)
            mark("IoU")
        hook.remove()
        del times["between steps"]
        return {stage: statistics.median(values[WARM_UP:]) for stage, values in times.items()}

    def train_rate(self, index: ShapeNetIndex) -> float:
        """Return samples per second of an epoch, after a short one that starts the workers."""
        loader, progress = self.loader(index, self.args.steps), Progress().shard(0, self.device)
        for _ in range(2):
            scalars = train_one_epoch(
                self.network,
                loader,
                self.optimizer,
                self.precision,
                Config(threshold=0.4),
                progress,
            )
            progress.finish_epoch()
        return scalars["samples_per_second"]

    def rate_of(self, function) -> float:
        """Return samples per second of a second call of `function`, which takes `steps` batches."""
        function()
        start = time.perf_counter()
        function()
        self.synchronize()
        return self.args.steps * self.args.batch_size / (time.perf_counter() - start)


def measure(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Return samples per second, and milliseconds of the stages of a training step."""
    training = Training(args)
    index = index_dataset(make_dataset(folder, {"chair": args.shapes}, views=24))
    loader, results = training.loader(index, args.steps), {}
    results["loading (samples/s)"] = training.rate_of(lambda: deque(loader, maxlen=0))
    images, voxels, _ = next(iter(training.loader(index, 1)))
    stages = training.stage_times(images, voxels)
    results |= {f"{stage} (ms)": 1e3 * seconds for stage, seconds in stages.items()}
    seconds = sum(stages.values())
    results["training step (samples/s)"] = args.batch_size / seconds
    results["training (samples/s)"] = training.train_rate(index)
    loader = training.loader(index, args.steps, training=False)
    results["evaluation (samples/s)"] = training.rate_of(
        lambda: evaluate(training.network, loader, training.precision, [0.4])
    )
    if training.device.type == "cuda":
        results["peak memory (GB)"] = torch.cuda.max_memory_allocated() / 1e9
    return results


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.throughput", description=__doc__)
    add = parser.add_argument
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (%(default)s)")
    add("--precision", default="fp32", choices=["fp32", "tf32", "bf16", "fp16"])
    add("--network", default="3D-LSTM-3", choices=NETWORKS)
    add("--width", type=float, default=1.0)
    add("--batch_size", type=int, default=36)
    add("--views", type=int, default=3)
    add("--workers", type=int, default=num_cores())
    add("--steps", type=int, default=50, help="of each measurement (%(default)s)")
    add("--shapes", type=int, default=64, help="of the dataset made for it (%(default)s)")
    add("--compile", action="store_true")
    return parser.parse_args(arguments)


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(args, Path(folder))
    for name, value in results.items():
        print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    main()

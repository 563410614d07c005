"""Speed and memory of the network and its training, as a table: python -m tests.benchmark

Each row is measured in a process of its own. With several --rounds, rows take turns and the best
value of each counts, as other load on the machine may slow down any of them.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from data.loader import TrainBatchSampler, make_loader
from data.shapenet import ShapeNetDataset, index_dataset
from models import NETWORKS, R2N2
from tests import reference
from tests.helpers import make_dataset
from utils.config import Config
from utils.distributed import Precision, choose_device, keep_freed_memory
from utils.engine import Progress, make_optimizer, to_device, train_one_epoch
from utils.metrics import voxel_loss

WARM_UP = 3  # calls: memory is allocated, algorithms are chosen, the network is compiled
CPU_ROWS = ["textbook", "fp32", "checkpointing", "bf16"]
ROWS = [*CPU_ROWS, "tf32", "fp16", "fp32+compile", "tf32+compile", "bf16+compile"]


def measure(row: str, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Measure one of ROWS with the dataset in `folder`."""
    memory_before, device = peak_memory(), choose_device(args.device)
    on_gpu = device.type == "cuda"
    synchronize = torch.cuda.synchronize if on_gpu else lambda: None
    if not on_gpu:
        keep_freed_memory()
    torch.manual_seed(0)
    network = R2N2(args.network, width=args.width).to(device)
    name, _, compiled = row.partition("+")
    network.grad_checkpointing = name == "checkpointing"
    if name == "textbook":
        network.forward = partial(reference.forward, network)
    if compiled:
        network.compile()
    precision = Precision(name if name in ("tf32", "bf16", "fp16") else "fp32", device)
    optimizer = make_optimizer(network, 1e-4, 5e-5)
    index = index_dataset(folder)
    indices = [i % len(index.names) for i in range(args.steps * args.batch_size)]
    sampler = TrainBatchSampler(indices, args.batch_size, args.views, args.views, seed=0)
    dataset = ShapeNetDataset(index, network.image_size, augmentation="paper")
    loader = make_loader(dataset, sampler, args.workers, pin_memory=on_gpu)
    images, voxels = to_device(*next(iter(loader))[:2], device)

    def predict() -> None:
        with torch.no_grad(), precision.autocast():
            network(images)

    def train_step() -> None:
        with precision.autocast():
            logits = network(images).float()
        precision.step(voxel_loss(logits, voxels).mean(), optimizer)

    def train_epoch() -> None:
        progress = Progress().shard(0, device)
        train_one_epoch(network, loader, optimizer, precision, Config(threshold=0.4), progress)

    def median_seconds(function, warm_up: int, repeats: int) -> float:
        times = []
        for _ in range(warm_up + repeats):
            synchronize()
            start = time.perf_counter()
            function()
            synchronize()
            times.append(time.perf_counter() - start)
        return statistics.median(times[warm_up:])

    forward = median_seconds(predict, WARM_UP, args.steps)
    step = median_seconds(train_step, WARM_UP, args.steps)
    memory = torch.cuda.max_memory_allocated() if on_gpu else peak_memory() - memory_before
    epoch = median_seconds(train_epoch, 1, 1)  # the first one starts the workers
    return {
        "forward (ms)": 1e3 * forward,
        "training step (ms)": 1e3 * step,
        "memory of the step (GB)": memory / 1e9,
        "training with loading (samples/s)": len(indices) / epoch,
    }


def peak_memory() -> int:
    """Return the peak memory of this process in bytes, 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    add = parser.add_argument
    rows = f"{', '.join(ROWS)}; without a GPU, the default is the first {len(CPU_ROWS)}"
    add("--rows", nargs="+", choices=ROWS, metavar="ROW", help=rows)
    add("--against", metavar="DIR", help="measure another checkout that has this file, too")
    add("--rounds", type=int, default=1)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (%(default)s)")
    add("--network", default="3D-LSTM-3", choices=NETWORKS)
    add("--width", type=float, default=1.0)
    add("--batch_size", type=int, default=24)
    add("--views", type=int, default=3)
    add("--workers", type=int, default=os.cpu_count())
    add("--steps", type=int, default=20, help="of each measurement (%(default)s)")
    add("--dataset", type=Path, help="measure the first row, in this process")
    return parser.parse_args(arguments)


def main() -> None:
    args = parse_args()
    if args.dataset:
        print(json.dumps(measure(args.rows[0], args.dataset, args)))
        return
    on_cpu = choose_device(args.device).type == "cpu"
    rows = args.rows or (CPU_ROWS if on_cpu else ROWS)
    checkouts = {"": Path(__file__).parents[1]}
    if args.against:
        checkouts[f" of {args.against}"] = args.against
    table = {}
    with tempfile.TemporaryDirectory() as dataset:
        make_dataset(Path(dataset), {"chair": 64}, views=24)
        command = [sys.executable, __file__, *sys.argv[1:], f"--dataset={dataset}", "--rows"]
        in_turn = itertools.product(range(args.rounds), rows, checkouts.items())
        for _, row, (suffix, checkout) in in_turn:
            environment = os.environ | {"PYTHONPATH": str(checkout)}
            output = subprocess.check_output([*command, row], env=environment, text=True)
            cells = table.setdefault(row + suffix, {})
            for title, value in json.loads(output.splitlines()[-1]).items():
                best = max if "samples" in title else min
                cells[title] = best(value, cells.get(title, value))
    print(f"| |{'|'.join(cells)}|\n|---|{len(cells) * '---:|'}")
    for row, cells in table.items():
        print(f"|{row}|{'|'.join(f'{value:.3g}' for value in cells.values())}|")


if __name__ == "__main__":
    main()

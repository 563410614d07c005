"""What the project costs beside a plain implementation: python -m tests.benchmark

Both run in this process, in turn, and the smallest of several times counts. --json prints the
figures for scripts; --slow adds how cost grows with views, batch and processes, and --models with
the size of the dataset.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data.binvox import write_binvox
from data.layout import RENDERINGS, SIZE, VIEWS, VOXELS
from data.sampling import SampleKey
from data.shapenet import ShapeNetDataset, index_dataset
from models import build_network
from models.profile import measure
from tests import reference
from utils import distributed
from utils.engine import make_optimizer
from utils.errors import InputError, Parser, check_ranges, run
from utils.metrics import average_precision, intersection_over_union, voxel_loss

OFFICIAL_MODELS = 43_784
CATEGORIES = 13
SIDE = 2048  # of the matrices whose product tells the machine's rate


def best_times(functions: dict, repeats: int) -> dict[str, float]:
    """Seconds of each function, the smallest of `repeats` rounds in which they take turns."""
    times = {name: [] for name in functions}
    for round_number in range(repeats + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if round_number > 0:  # the first round warms up
                times[name].append(time.perf_counter() - started)
    return {name: min(values) for name, values in times.items()}


def network_times(repeats: int) -> dict:
    """Forward passes and a training step: plain, ours, their ratio, and the share of the peak.

    The peak is the rate of a large matrix product, which takes its turn with the networks.
    """
    network = build_network("3D-LSTM-3")
    with torch.device("meta"):
        shadow = build_network("3D-LSTM-3")
    forwards = {"plain": partial(reference.forward, network), "ours": network}

    def predict(forward, images):
        with torch.no_grad():
            forward(images)

    def train(forward, images, voxels):
        network.zero_grad()
        voxel_loss(forward(images), voxels).mean().backward()
        optimizer.step()

    product = {"product": partial(torch.mm, torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE))}
    rows = {}
    for batch, views in ((1, 3), (8, 5)):
        network.eval()
        images = torch.rand(batch, views, 3, 128, 128)
        passes = {name: partial(predict, f, images) for name, f in forwards.items()}
        times = best_times(passes | product, repeats)
        times["gmac"] = measure(shadow, views, batch)[0] / 1e9
        rows[f"forward, batch {batch}, {views} views"] = times
    network.train()
    optimizer = make_optimizer(network, 1e-4, 5e-5)
    images, voxels = torch.rand(8, 3, 3, 128, 128), torch.rand(8, 32, 32, 32) < 0.1
    steps = {name: partial(train, f, images, voxels) for name, f in forwards.items()}
    times = best_times(steps | product, max(2, repeats // 3))
    network.recompute = True
    times["recompute"] = best_times({"ours": steps["ours"]}, 2)["ours"]
    times["gmac"] = 3 * measure(shadow, 3, 8)[0] / 1e9  # backward: twice the products of forward
    rows["training step, batch 8, 3 views"] = times
    peak = SIDE**3 / 1e9 / min(row["product"] for row in rows.values())
    for row in rows.values():
        row["ratio"] = row["plain"] / row["ours"]
        row["share_of_peak"] = row["gmac"] / row["ours"] / peak
    return {"peak_gmac_per_second": peak, "network": rows}


def peak_memory() -> int:
    """The largest memory that this process has had, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def step_memory(kind: str) -> None:
    """Take two training steps and print the largest memory above the start, in bytes."""
    network = build_network("3D-LSTM-3")
    network.recompute = kind == "recompute"
    forward = partial(reference.forward, network) if kind == "plain" else network
    optimizer = make_optimizer(network, 1e-4, 5e-5)
    images, voxels = torch.rand(8, 3, 3, 128, 128), torch.rand(8, 32, 32, 32) < 0.1
    start = peak_memory()
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        voxel_loss(forward(images), voxels).mean().backward()
        optimizer.step()
    print(peak_memory() - start)


def forward_memory(views: int) -> None:
    """Predict from `views` views and print the largest memory above the start, in bytes."""
    network, images = build_network("3D-LSTM-3").eval(), torch.rand(1, views, 3, 128, 128)
    start = peak_memory()
    with torch.no_grad():
        network(images)
    print(peak_memory() - start)


def in_a_process(call: str) -> int:
    """The number that a call to a function of this module prints in a process of its own."""
    code = f"from tests.benchmark import *; {call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def shared_step(repeats: int) -> None:
    """Print the seconds of a training step of 8 objects and 3 views that processes share."""
    _, rank, processes = distributed.start(torch.device("cpu"))
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // processes))
    network = build_network("3D-LSTM-3")
    forward = torch.nn.parallel.DistributedDataParallel(network) if processes > 1 else network
    optimizer = make_optimizer(network, 1e-4, 5e-5)
    share = 8 // processes
    images, voxels = torch.rand(share, 3, 3, 128, 128), torch.rand(share, 32, 32, 32) < 0.1

    def step():
        optimizer.zero_grad(set_to_none=True)
        voxel_loss(forward(images), voxels).mean().backward()
        optimizer.step()

    seconds = best_times({"step": step}, repeats)["step"]
    if rank == 0:
        print(seconds)
    distributed.stop()


def process_times(processes: int, repeats: int) -> float:
    """Seconds of `shared_step` by so many processes of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    code = f"from tests.benchmark import *; shared_step({repeats})"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **place, "WORLD_SIZE": str(processes), "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    outputs = [run.communicate()[0] for run in runs]
    return float(outputs[0])


def loader_times(folder: Path, repeats: int) -> dict:
    """Seconds a view of decoding alone and of our loader, by one core, and of plain metrics."""
    rng = np.random.default_rng(0)
    rendering = folder / RENDERINGS / "chair" / "model" / "rendering"
    rendering.mkdir(parents=True)
    write_binvox(folder / VOXELS / "chair" / "model" / "model.binvox", rng.random((32,) * 3) < 0.1)
    side = 62  # pixels: a fifth of the picture is covered, as in the official ones
    for view in range(VIEWS):
        pixels = np.zeros((SIZE, SIZE, 4), np.uint8)
        left, top = rng.integers(20, SIZE - side - 20, 2)
        pixels[top : top + side, left : left + side, :3] = rng.integers(90, 106, (side, side, 3))
        pixels[top : top + side, left : left + side, 3] = 255
        Image.fromarray(pixels).save(rendering / f"{view:02d}.png")
    samples = ShapeNetDataset(index_dataset(folder), 128, seed=0, training=True)

    def decode():
        for view in range(VIEWS):
            with Image.open(samples.index.picture_path(0, view)) as picture:
                picture.load()

    def plain():
        for view in range(VIEWS):
            with Image.open(samples.index.picture_path(0, view)) as picture:
                pixels = np.asarray(picture.convert("RGBA"), np.float32) / 255
            alpha = pixels[..., 3:]
            (pixels[..., :3] * alpha + (1 - alpha))[4:132, 4:132].transpose(2, 0, 1).copy()

    times = best_times(
        {"decode": decode, "plain": plain, "ours": lambda: samples[SampleKey(0, 1, VIEWS)]}, repeats
    )
    return {name: seconds / VIEWS for name, seconds in times.items()}


def metric_times(repeats: int) -> dict:
    """Seconds for IoU and average precision of 8 objects: a loop over objects and ours."""
    logits, voxels = torch.randn(8, 2, 32, 32, 32), torch.rand(8, 32, 32, 32) < 0.1

    def plain():
        for one, truth in zip(logits.softmax(1)[:, 1].numpy(), voxels.numpy(), strict=True):
            predicted = one >= 0.4
            np.sum(predicted & truth) / np.sum(predicted | truth)
            order = np.argsort(-one.ravel())
            hits = truth.ravel()[order]
            (np.cumsum(hits) / np.arange(1, hits.size + 1))[hits].mean()

    def ours():
        intersection_over_union(logits, voxels, 0.4)
        average_precision(logits, voxels)

    return best_times({"plain": plain, "ours": ours}, repeats)


def index_times(folder: Path, models: int, repeats: int) -> dict:
    """Seconds and bytes a model of indexing a generated tree, whose pictures are empty files."""
    source = folder / "empty"
    for number in range(models):
        name = f"{number % CATEGORIES:08d}/{number:032x}"
        rendering = folder / RENDERINGS / name / "rendering"
        rendering.mkdir(parents=True)
        voxels = folder / VOXELS / name
        voxels.mkdir(parents=True)
        if number % 1000 == 0:  # a file has a limited number of links
            source.unlink(missing_ok=True)
            source.touch()
        for view in range(VIEWS):
            os.link(source, rendering / f"{view:02d}.png")
        os.link(source, voxels / "model.binvox")
    seconds = best_times({"index": partial(index_dataset, folder)}, repeats)["index"]
    index = index_dataset(folder)
    size = sum(map(sys.getsizeof, index.names)) + sys.getsizeof(index.names) + index.views.nbytes
    return {"models": models, "seconds": seconds, "bytes_per_model": size / models}


def growth(repeats: int) -> dict:
    """How time and memory of a prediction grow with views and batch."""
    network = build_network("3D-LSTM-3").eval()
    rows = {}
    cases = [(1, views) for views in (1, 2, 5, 10, 24)] + [(batch, 5) for batch in (2, 8, 32)]
    for batch, views in cases:
        images = torch.rand(batch, views, 3, 128, 128)

        def predict(images=images):
            with torch.no_grad():
                network(images)

        row = {"seconds": best_times({"ours": predict}, repeats)["ours"]}
        if batch == 1:
            row["memory"] = in_a_process(f"forward_memory({views})")
        rows[f"batch {batch}, {views} views"] = row
    return rows


def benchmark(repeats: int, models: list[int], slow: bool) -> dict:
    """All figures: seconds, bytes, ratios."""
    figures = network_times(repeats)
    figures["step_memory"] = {
        kind: in_a_process(f"step_memory({kind!r})") for kind in ("plain", "ours", "recompute")
    }
    figures["metrics"] = metric_times(repeats)
    with tempfile.TemporaryDirectory() as folder:
        figures["loader"] = loader_times(Path(folder), 3 * repeats)
    figures["index"] = []
    for count in models:
        with tempfile.TemporaryDirectory() as folder:
            figures["index"].append(index_times(Path(folder), count, 3))
    if slow:
        figures["growth"] = growth(repeats)
        figures["processes"] = {n: process_times(n, max(2, repeats // 3)) for n in (1, 2)}
    return figures


def table(figures: dict) -> str:
    """The figures as lines of text."""
    lines = [f"matrix product: {figures['peak_gmac_per_second']:.1f} GMAC/s"]
    for name, row in figures["network"].items():
        lines.append(
            f"{name}: plain {row['plain']:.3f} s, ours {row['ours']:.3f} s, {row['ratio']:.2f} "
            f"times as fast, {row['share_of_peak']:.0%} of the matrix product's rate"
        )
    step = figures["network"]["training step, batch 8, 3 views"]
    memory = {kind: size / 2**20 for kind, size in figures["step_memory"].items()}
    lines.append(
        f"training step's memory: plain {memory['plain']:.0f} MB, ours {memory['ours']:.0f} MB, "
        f"recomputing {memory['recompute']:.0f} MB at {step['recompute'] / step['ours']:.2f} "
        "times the time"
    )
    loader, metrics = figures["loader"], figures["metrics"]
    lines.append(
        f"loader, a view by one core: decoding {1e3 * loader['decode']:.2f} ms, plain "
        f"{1e3 * loader['plain']:.2f} ms, ours {1e3 * loader['ours']:.2f} ms, "
        f"{loader['ours'] / loader['decode']:.2f} times decoding"
    )
    lines.append(
        f"metrics of 8 objects: plain {1e3 * metrics['plain']:.0f} ms, "
        f"ours {1e3 * metrics['ours']:.0f} ms"
    )
    for index in figures["index"]:
        lines.append(
            f"index of {index['models']:,} models: {index['seconds']:.2f} s, "
            f"{index['bytes_per_model']:.0f} bytes a model"
        )
    for name, row in figures.get("growth", {}).items():
        memory = f", {row['memory'] / 2**20:.0f} MB" if "memory" in row else ""
        lines.append(f"forward, {name}: {row['seconds']:.3f} s{memory}")
    for processes, seconds in figures.get("processes", {}).items():
        lines.append(f"training step, {processes} processes: {seconds:.3f} s")
    return "\n".join(lines)


def main() -> None:
    parser = Parser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--repeats", type=int, default=6, help="rounds of each timing")
    sizes = "models to index (%(default)s)"
    parser.add_argument("--models", type=int, nargs="+", default=[OFFICIAL_MODELS], help=sizes)
    parser.add_argument("--slow", action="store_true", help="how cost grows, too")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    check_ranges(arguments, repeats=(1, 1000))
    if not 1 <= min(arguments.models) <= max(arguments.models) <= 10_000_000:
        raise InputError("--models: expected numbers from 1 to 10000000")
    figures = benchmark(arguments.repeats, arguments.models, arguments.slow)
    print(json.dumps(figures, indent=2) if arguments.json else table(figures))


if __name__ == "__main__":
    run(main)

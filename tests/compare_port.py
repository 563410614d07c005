"""Train 3D-LSTM-3 and the PyTorch port's side by side: python -m tests.compare_port PORT

PORT is a checkout of https://github.com/Rutvikk-Khar/3D-Object-Reconstruction. Its modules run as
they are, and both networks get the same initial weights, batches, optimizer and learning rates.
The port's train.py is not used: it needs a GPU, and begins a batch with the states of the one
before. Each training is a process; one that has left its .json file in --out is not repeated.
"""

import importlib
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.datasets import open_dataset
from data.loader import TrainBatchSampler, eval_batches, make_loader
from data.shapenet import ShapeNetDataset
from models import R2N2
from models.convert import PORT_LAYERS
from tests.benchmark import peak_memory
from utils.config import Config, read_config
from utils.distributed import Precision, keep_freed_memory
from utils.engine import evaluate, learning_rate, make_optimizer, to_device
from utils.errors import InputError, Parser, number, run
from utils.metrics import intersection_over_union, voxel_loss

COLORS = {"port": "orange", "ours": "blue"}
THRESHOLD = 0.4
WINDOW = 50  # steps in a point of the curves


class Port(nn.Module):
    """The port's modules, with the parameters of `network` in place of theirs: any width."""

    def __init__(self, folder: Path, network: R2N2):
        super().__init__()
        sys.path.insert(0, str(folder))
        modules = importlib.import_module("network")
        with torch.device("meta"):
            self.encoder, self.decoder = modules.Encoder(), modules.Decoder()
            self.convrnn = modules.ConvRNN3d()
        for name, ours in PORT_LAYERS.items():
            layer, our_layer = self.get_submodule(name), network.get_submodule(ours)
            layer.weight, layer.bias = our_layer.weight, our_layer.bias
        self.convrnn.convlstm.gate_channels = network.recurrence.hidden.out_channels

    def states(self, images: Tensor):
        channels = self.convrnn.convlstm.gate_channels // 3
        hidden = (images.new_zeros(len(images), channels, 4, 4, 4),) * 2
        for view in images.unbind(1):  # ours are channels-last in memory, which the port is not for
            hidden = self.convrnn(self.encoder(view.contiguous()), hidden)
            yield hidden[0]

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(list(self.states(images))[-1])  # log-probabilities

    def forward_all_views(self, images: Tensor):
        return map(self.decoder, self.states(images))


def train(name: str, config: Config) -> dict:
    """Train a network; return its curves, test IoU, time and memory."""
    keep_freed_memory()
    memory_before, is_port = peak_memory(), name == "port"
    torch.manual_seed(config.seed)
    network = R2N2("3D-LSTM-3", width=config.width)
    network = Port(config.port, network) if is_port else network
    optimizer = make_optimizer(network, config.LR, config.weight_decay)
    precision = Precision(config.precision or "fp32", torch.device("cpu"))
    index, splits = open_dataset(config.database_path, config.split_file, config.val_fraction)
    views = config.min_views, config.max_views
    sampler = TrainBatchSampler(splits["train"], config.batch_size, *views, config.seed)
    loader = make_loader(ShapeNetDataset(index, 128, 32, config.seed, "paper"), sampler)

    def batches():
        for epoch in itertools.count(1):
            sampler.set_epoch(epoch)
            yield from loader

    losses, ious, seconds = [], [], []
    for step, (images, voxels, _) in enumerate(itertools.islice(batches(), config.steps)):
        images, voxels = to_device(images, voxels, precision.device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, len(sampler))
        start = time.process_time()
        with precision.autocast():
            outputs = network(images).float()
        loss = F.nll_loss(outputs, voxels.long()) if is_port else voxel_loss(outputs, voxels).mean()
        precision.step(loss, optimizer)
        seconds.append(time.process_time() - start)
        losses.append(loss.item())
        ious.append(intersection_over_union(outputs, voxels, THRESHOLD).mean().item())
    result = {"loss": losses, "IoU": ious, "seconds per step": float(np.median(seconds))}
    result["memory (MB)"] = (peak_memory() - memory_before) / 2**20

    test_batches = eval_batches(splits["test"], config.batch_size, config.max_views)
    test_loader = make_loader(ShapeNetDataset(index, 128), test_batches)
    ious = evaluate(network, test_loader, precision, [THRESHOLD])["iou"]
    return result | {"test IoU": float(ious[:, -1].mean())}


def smoothed(values: list[float]) -> np.ndarray:
    """Return the mean of each WINDOW steps."""
    return np.reshape(values[len(values) % WINDOW :], (-1, WINDOW)).mean(1)


def draw_curves(results: dict[str, list[dict]]) -> str:
    """Draw loss and IoU of all trainings over the steps, as SVG."""
    shapes = ["<rect width='800' height='260' fill='white'/>"]
    for left, metric in ((20, "loss"), (420, "IoU")):
        curves = [
            (COLORS[name], smoothed(run[metric])) for name, runs in results.items() for run in runs
        ]
        top = max(curve.max() for _, curve in curves)
        title = f"training {metric}, from 0 to {top:.3f}; port orange, ours blue"
        shapes.append(f"<text x='{left}' y='20'>{title}</text>")
        shapes.append(f"<path d='M{left} 30v220h360' fill='none' stroke='gray'/>")
        for color, curve in curves:
            xs, ys = left + 360 * np.arange(len(curve)) / len(curve), 250 - 220 * curve / top
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
            shapes.append(f"<polyline points='{points}' fill='none' stroke='{color}'/>")
    start = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 800 260' font-size='13'>"
    return "\n".join([start, *shapes, "</svg>\n"])


def main() -> None:
    parser = Parser(prog="python -m tests.compare_port", description=__doc__)
    add = parser.add_argument
    add("port", metavar="PORT", type=Path, help="checkout of the PyTorch port")
    add("--steps", type=number(WINDOW), default=2000, help="of a training (%(default)s)")
    add("--seeds", type=number(1), default=3, help="trainings of each network (%(default)s)")
    add("--out", type=Path, default="port", help="folder of the results (%(default)s)")
    add("--only", choices=COLORS, help="train one network, with --seed")
    config, _ = read_config(parser)
    if not (config.port / "network.py").exists():
        raise InputError(f"{config.port}: expected a checkout of the PyTorch port, with network.py")
    config.out.mkdir(parents=True, exist_ok=True)
    if config.only:
        result = json.dumps(train(config.only, config))
        (config.out / f"{config.only}-{config.seed}.json").write_text(result)
        return
    results = {name: [] for name in COLORS}
    for seed, name in itertools.product(range(config.seeds), COLORS):
        path = config.out / f"{name}-{seed}.json"
        if not path.exists():
            flags = [*sys.argv[1:], f"--only={name}", f"--seed={seed}"]
            subprocess.run([sys.executable, "-m", "tests.compare_port", *flags], check=True)
        results[name].append(json.loads(path.read_text()))
    (config.out / "curves.svg").write_text(draw_curves(results))
    for name, metric in itertools.product(COLORS, ("test IoU", "seconds per step", "memory (MB)")):
        print(f"{name}: {metric}: {' '.join(f'{run[metric]:.3f}' for run in results[name])}")
    first = [np.array([run["loss"][:20] for run in results[name]]) for name in COLORS]
    difference = np.abs(first[0] - first[1]).max()
    print(f"largest difference of the loss in steps 1 to 20: {difference:.1e}")


if __name__ == "__main__":
    run(main)

"""Compare this project's speed and memory with the textbook's: python -m tests.benchmark

Both run in turn, and the fastest of several runs counts. Training steps run in processes of their
own to measure their peak memory.
"""

import argparse
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch

from models import build_network
from tests import reference
from utils.engine import make_optimizer
from utils.metrics import voxel_loss


def best_times(functions: dict, repeats: int) -> dict[str, float]:
    """Return the seconds of each function in the fastest of `repeats` rounds, after a warm-up."""
    times = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: min(values[1:]) for name, values in times.items()}


def forward_times(batch_size: int, num_views: int, repeats: int) -> dict[str, float]:
    network = build_network("3D-LSTM-3").eval()
    images = torch.rand(batch_size, num_views, 3, 128, 128)
    with torch.no_grad():
        textbook = partial(reference.forward, network, images)
        return best_times({"textbook": textbook, "ours": partial(network, images)}, repeats)


def train_step(implementation: str):
    """Return a function that takes a training step of 8 samples with 3 views."""
    network = build_network("3D-LSTM-3")
    network.grad_checkpointing = implementation == "checkpointing"
    forward = partial(reference.forward, network) if implementation == "textbook" else network
    optimizer = make_optimizer(network, 1e-4, 5e-5)
    images, voxels = torch.rand(8, 3, 3, 128, 128), torch.rand(8, 32, 32, 32) < 0.1

    def step():
        optimizer.zero_grad(set_to_none=True)
        voxel_loss(forward(images), voxels).mean().backward()
        optimizer.step()

    return step


def peak_memory() -> int:
    """Return the peak memory of this process in bytes, 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    try:
        import resource  # Unix only
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def train_step_memory(implementation: str) -> int:
    """Return the peak memory of two training steps in a process of their own."""
    code = (
        "from tests.benchmark import *\n"
        f"step, start = train_step({implementation!r}), peak_memory()\n"
        "step(), step(), print(peak_memory() - start)"
    )
    return int(subprocess.check_output([sys.executable, "-c", code]))


def benchmark(repeats: int) -> dict[str, dict[str, float]]:
    """Return seconds and bytes by what is measured and implementation."""
    implementations = ("textbook", "ours", "checkpointing")
    steps = {name: train_step(name) for name in implementations}
    results = {
        "forward, 1 sample, 3 views": forward_times(1, 3, repeats),
        "forward, 8 samples, 5 views": forward_times(8, 5, repeats),
        "training step, 8 samples, 3 views": best_times(steps, max(2, repeats // 3)),
        "memory of the step (bytes)": {name: train_step_memory(name) for name in implementations},
    }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--repeats", type=int, default=6, help="runs of each (%(default)s)")
    args = parser.parse_args()
    for name, row in benchmark(args.repeats).items():
        scale, unit = (2**-20, "MB") if "bytes" in name else (1e3, "ms")
        values = ", ".join(f"{key} {scale * value:.1f} {unit}" for key, value in row.items())
        print(f"{name}: {values}")


if __name__ == "__main__":
    main()

"""The two loops: one epoch of training, one pass of evaluation."""

import math
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data.loading import Loader
from models import R2N2
from utils import distributed
from utils.errors import InputError
from utils.metrics import average_precision, intersection_over_union, voxel_loss
from utils.precision import Precision

# Epochs after which the learning rate is halved, as in the PyTorch seed.
HALVED_AFTER = (3, 10, 20, 50, 100)


def learning_rate(config, step: int, epoch_steps: int) -> float:
    """Return the learning rate of a step, counted from 0 over all epochs of `epoch_steps` steps.

    After a linear warmup, "step" halves the rate after some epochs, "cosine" lowers it to zero at
    the end of the last epoch, and "constant" keeps it until the last `decay_epochs` epochs, over
    which it falls linearly to zero.
    """
    if config.lr_schedule == "step":
        factor = 0.5 ** sum(step // epoch_steps >= end for end in HALVED_AFTER)
    elif config.lr_schedule == "cosine":
        factor = (1 + math.cos(math.pi * step / (config.num_epochs * epoch_steps))) / 2
    else:
        left = config.num_epochs * epoch_steps - step
        factor = min(1, left / max(1, config.decay_epochs * epoch_steps))
    return config.LR * factor * min(1, (step + 1) / max(1, config.warmup_steps))


def make_optimizer(network: R2N2, rate: float, weight_decay: float) -> torch.optim.Adam:
    """Adam with an L2 penalty on weights and none on biases."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=rate, fused=True)


def choose_device(name: str) -> torch.device:
    """The device of the key `device`; "auto" takes a GPU where there is one.

    Raises InputError for one that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without
        reason = str(error).split("\n")[0]
        raise InputError(f"device: expected one that is there, found {name}: {reason}") from error
    return torch.device(name)


def to_device(images: Tensor, voxels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Move a batch of bytes and make pictures of [0, 1] of its images."""
    images = images.to(device, non_blocking=True).float().div_(255)
    return images, voxels.to(device, non_blocking=True)


class NonFiniteError(Exception):
    """A loss or a weight is no finite number."""


@dataclass
class Progress:
    """What an epoch of training has come to so far: batches done, sums over their objects."""

    batches: int = 0
    sums: Tensor = field(default_factory=lambda: torch.zeros(3))  # loss, IoU, objects

    def shard(self, rank: int, device: torch.device) -> "Progress":
        """What a process begins with: the sums, if it is the first one, else none."""
        return Progress(self.batches, (self.sums if rank == 0 else 0 * self.sums).to(device))

    def all_reduce(self) -> "Progress":
        """The sums of all processes together."""
        return Progress(self.batches, distributed.all_reduce_sum(self.sums.clone()).cpu())

    def means(self) -> dict[str, float]:
        """The means over the objects of all processes."""
        loss, iou, count = self.all_reduce().sums.tolist()
        return {"loss": loss / count, "iou": iou / count}


def train_one_epoch(
    network,
    batches: Loader,
    optimizer,
    precision: Precision,
    threshold: float,
    rates,
    title: str,
    running: Progress,
) -> float:
    """One pass over `batches`, drawn by `data.sampling.TrainBatchSampler`, with a step for each.

    `rates` yields the learning rate of each step. `running` is brought up to date with
    every step. Nothing waits for the device but what the bar shows, once a second, and the look at
    the loss of the step before.

    Returns the objects per second. Raises NonFiniteError, which names the objects of the batch, and
    what `batches` raises.
    """
    network.train()
    device = precision.device
    started, shown, before = time.perf_counter(), 0.0, running.sums[2].item()
    unseen, late = deque(), 0 if device.type == "cpu" else 1
    with progress_bar(batches, title) as bar:
        scales = batches.batch_sampler.scales()
        for (images, voxels, positions), scale, rate in zip(bar, scales, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate
            images, voxels = to_device(images, voxels, device)
            with precision.autocast():
                logits = network(images).float()
            losses = voxel_loss(logits, voxels)
            unseen.append((losses.detach(), positions))
            if len(unseen) > late:
                check_losses(*unseen.popleft(), batches.dataset.index.names, title)
            precision.step(scale * losses.sum(), optimizer)
            with torch.no_grad():
                ious = intersection_over_union(logits, voxels >= threshold, threshold)
                seen = torch.stack([losses.sum(), ious.sum(), torch.ones_like(ious).sum()])
                running.sums += seen * (scale > 0)
            running.batches += 1
            if (now := time.perf_counter()) - shown > 1:
                shown = now
                loss, iou, count = running.sums.tolist()
                speed = (count - before) / (now - started)
                bar.set_postfix_str(
                    f"loss {loss / count:.4f}, IoU {iou / count:.4f}, {speed:.1f} objects/s"
                )
    for losses, positions in unseen:
        check_losses(losses, positions, batches.dataset.index.names, title)
    count = running.all_reduce().sums[2].item() - before
    return count / (time.perf_counter() - started)


def check_losses(losses: Tensor, positions: list[int], names: list[str], title: str) -> None:
    """Raise NonFiniteError, naming the objects of a batch, when one of its losses is not finite."""
    if not losses.isfinite().all():
        objects = ", ".join(names[position] for position in positions)
        raise NonFiniteError(f"{title}: the loss of a batch is not finite, that of {objects}")


def check_weights(network: R2N2, title: str) -> None:
    """Raise NonFiniteError, naming the parameter, when a weight is not finite."""
    for name, parameter in network.named_parameters():
        if not parameter.isfinite().all():
            raise NonFiniteError(f"{title}: {name} has weights that are not finite")


@torch.no_grad()
def evaluate(
    network: R2N2, batches, precision: Precision, thresholds: list[float], title: str
) -> dict[str, list | np.ndarray]:
    """Measure every object of `batches` with its first view, its first two, ... all V of them.

    One pass of the encoder serves all numbers of views. Of several processes, each measures its
    share and all get the whole.

    Returns {"position": N positions in the index, "loss": (N, V), "average_precision": (N, V),
    "iou": (N, V, T)}, the IoU at each of T thresholds.
    """
    network.eval()
    rows = []
    with progress_bar(batches, title) as bar:
        for images, voxels, positions in bar:
            images, voxels = to_device(images, voxels, precision.device)
            with precision.autocast():
                views = [logits.float() for logits in network.forward_all_views(images)]
            each = [
                torch.stack(
                    [
                        voxel_loss(logits, voxels),
                        average_precision(logits, voxels),
                        *(intersection_over_union(logits, voxels, t) for t in thresholds),
                    ],
                    dim=-1,
                )
                for logits in views
            ]
            measured = torch.stack(each, dim=1).cpu().numpy()  # (B, V, 2 + T)
            rows += zip(positions, measured, strict=True)
    positions, measured = zip(*distributed.all_gather(rows), strict=True)
    measured = np.stack(measured)  # (N, V, 2 + T)
    return {
        "position": list(positions),
        "loss": measured[..., 0],
        "average_precision": measured[..., 1],
        "iou": measured[..., 2:],
    }


def progress_bar(batches, title: str) -> tqdm:
    """A bar with the batches that are done, and room for what is known of them."""
    return tqdm(
        batches, desc=title, leave=True, dynamic_ncols=True, file=sys.stdout, mininterval=0.5
    )

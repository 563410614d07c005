"""The two loops, one epoch of training and one evaluation, and the learning rate."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from utils import distributed
from utils.config import Config
from utils.distributed import Precision
from utils.metrics import compute_metrics, intersection_over_union, soft_iou_loss, voxel_loss

HALVED_AFTER = (3, 10, 20, 50, 100)  # epochs, as in the PyTorch port


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        epoch (int): Finished epochs.
        step (int): Optimizer steps, over all epochs.
        batches (int): Finished batches of the current epoch.
        totals (Tensor): (3,) float32, sums over the samples of these batches: loss, IoU and 1.
    """

    epoch: int = 0
    step: int = 0
    batches: int = 0
    totals: Tensor = field(default_factory=lambda: torch.zeros(3))

    def update(self, losses: Tensor, ious: Tensor, *, is_padding: bool = False) -> None:
        """Add a batch: loss (B,) and IoU (B,) of its samples; padding is counted elsewhere."""
        if not is_padding:
            self.totals += torch.stack([losses.sum(), ious.sum(), torch.ones_like(ious).sum()])
        self.batches, self.step = self.batches + 1, self.step + 1

    def shard(self, rank: int, device: torch.device) -> "Progress":
        """Return this rank's initial totals: the saved sums on rank 0, zeros elsewhere."""
        totals = self.totals if rank == 0 else torch.zeros(3)
        return Progress(self.epoch, self.step, self.batches, totals.to(device))

    def all_reduce(self) -> "Progress":
        """Return the totals of all ranks, on the CPU."""
        totals = distributed.all_reduce_sum(self.totals.detach().clone()).cpu()
        return Progress(self.epoch, self.step, self.batches, totals)

    def means(self) -> dict[str, float]:
        loss, iou, samples = self.totals.tolist()
        return {"loss": loss / max(samples, 1), "iou": iou / max(samples, 1)}

    def finish_epoch(self) -> None:
        self.epoch, self.batches, self.totals = self.epoch + 1, 0, torch.zeros_like(self.totals)


def make_optimizer(network: nn.Module, lr: float, weight_decay: float) -> torch.optim.Adam:
    """Make Adam with an L2 penalty on weights, not on biases."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=lr, fused=True)


def learning_rate(config: Config, step: int, epoch_steps: int) -> float:
    """Return the learning rate of a step, counted from 0 over all epochs of `epoch_steps` steps.

    After a linear warmup, "step" halves the rate after some epochs, "cosine" lowers it to zero at
    the end of the last epoch, and "constant" keeps it until the last `decay_epochs` epochs, over
    which it falls linearly to zero.
    """
    if config.lr_schedule == "step":
        factor = 0.5 ** sum(step // epoch_steps >= epoch for epoch in HALVED_AFTER)
    elif config.lr_schedule == "cosine":
        factor = (1 + math.cos(math.pi * step / (config.num_epochs * epoch_steps))) / 2
    else:
        remaining = config.num_epochs * epoch_steps - step
        factor = min(1, remaining / max(1, config.decay_epochs * epoch_steps))
    return config.LR * factor * min(1, (step + 1) / max(1, config.warmup_steps))


def to_device(images: Tensor, voxels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Move a batch of uint8 to the device; return its images as float32 in [0, 1]."""
    images = images.to(device, non_blocking=True).float().div_(255)
    return images, voxels.to(device, non_blocking=True)


class NonFiniteError(Exception):
    """A loss or a weight that is infinite or not a number."""


def train_one_epoch(
    network: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    config: Config,
    progress: Progress,
) -> dict[str, float]:
    """Train one epoch from batch `progress.batches` on.

    `progress`, of this rank, is updated with every step. Losses are checked one step late, so that
    a GPU is not waited for.

    Returns:
        dict: Means over the epoch's samples, "loss" and "iou"; "learning_rate", the last one;
            "samples_per_second".

    Raises:
        NonFiniteError: Names the samples of a batch with a loss that is not finite.
        Interrupted: Between two steps, or while waiting for a batch, if a stop signal came.
    """
    network.train()
    sampler, title = loader.batch_sampler, f"epoch {progress.epoch + 1}/{config.num_epochs}"
    sampler.set_epoch(progress.epoch + 1, progress.batches)
    epoch_steps = progress.batches + len(sampler)
    started, shown, samples_before = time.perf_counter(), 0.0, progress.totals[2].item()
    previous = None  # losses and indices of the step before
    bar = progress_bar(loader, title, distributed.raise_if_asked_to_stop)
    for (images, voxels, indices), scale in zip(bar, sampler.loss_scales(), strict=True):
        distributed.raise_if_stopped()
        step = progress.epoch * epoch_steps + progress.batches
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, epoch_steps)

        # Forward and backward pass.
        images, voxels = to_device(images, voxels, precision.device)
        with precision.autocast():
            logits = network(images).float()
        losses = voxel_loss(logits, voxels)
        objective = losses.sum()
        if config.iou_weight:
            objective += config.iou_weight * soft_iou_loss(logits, voxels).sum()
        precision.step(scale * objective, optimizer)

        # Add up the metrics, and check the losses of the step before.
        with torch.no_grad():
            ious = intersection_over_union(logits, voxels, config.threshold)
            progress.update(losses, ious, is_padding=scale == 0)
        if previous:
            check_losses(*previous, loader, title)
        previous = losses.detach(), indices

        if (now := time.perf_counter()) - shown > 1:
            shown, means = now, progress.means()
            bar.set_postfix_str(f"loss {means['loss']:.4f}, IoU {means['iou']:.4f}")

    # Check the last step, and add up what all ranks have seen.
    if previous:
        check_losses(*previous, loader, title)
    total = progress.all_reduce()
    num_samples = total.totals[2].item() - samples_before
    return total.means() | {
        "learning_rate": learning_rate(config, (progress.epoch + 1) * epoch_steps - 1, epoch_steps),
        "samples_per_second": num_samples / (time.perf_counter() - started),
    }


def progress_bar(loader: DataLoader, title: str, while_waiting: Callable[[], None]) -> tqdm:
    """Return the batches of a `data.loader.Loader`, with a progress bar."""
    batches = loader.batches(while_waiting)
    return tqdm(batches, title, len(loader), dynamic_ncols=True, file=sys.stdout, mininterval=0.5)


def check_losses(losses: Tensor, indices: list[int], loader: DataLoader, title: str) -> None:
    """Raise NonFiniteError, naming the samples of the batch, if a loss is not finite."""
    if not losses.isfinite().all():
        names = ", ".join(loader.dataset.index.names[i] for i in indices)
        raise NonFiniteError(f"{title}: the loss is not finite for the batch of {names}")


def check_finite(network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Raise NonFiniteError for weights, Adam's means or losses that are not finite, by name."""
    for name, parameter in network.named_parameters():
        for kind, values in {"weights": parameter, **optimizer.state.get(parameter, {})}.items():
            if not values.isfinite().all():
                raise NonFiniteError(f"{name} has {kind} that are not finite")
    if not progress.totals.isfinite().all():
        raise NonFiniteError("the loss of the last step is not finite")


@torch.no_grad()
def evaluate(
    network: nn.Module,
    loader: DataLoader,
    precision: Precision,
    thresholds: list[float],
    title: str = "evaluation",
    surface: bool = False,
) -> dict[str, list | np.ndarray]:
    """Evaluate a network for 1, 2, ..., V input views (section 5.1 of the paper).

    With several processes, each evaluates the samples of its loader, and all get all results.

    Args:
        network (nn.Module): R2N2 or MirrorAverage; set to evaluation mode.
        loader (DataLoader): Batches of images (B, V, 3, S, S) and voxels (B, D, D, D), both
            uint8, and indices.
        thresholds (list[float]): T occupancy thresholds in (0, 1].
        surface (bool): Compare surfaces too: half a second more per sample on a CPU core, for 5
            views and one threshold.

    Returns:
        dict: "index", N ints, and the values of `compute_metrics`: "loss" and
            "average_precision", (N, V) float32; "iou" and, with `surface`, those of
            `surface_metrics`, (N, V, T) float32.
    """

    def stop() -> None:
        if not torch.distributed.is_initialized():  # ranks differ in their number of batches
            distributed.raise_if_stopped()

    network.eval()
    rows = []
    for images, voxels, indices in progress_bar(loader, title, stop):
        stop()
        images, voxels = to_device(images, voxels, precision.device)
        with precision.autocast():
            logits = [x.float() for x in network.forward_all_views(images)]
        per_view = [compute_metrics(x, voxels, thresholds, surface) for x in logits]
        values = {name: torch.stack([v[name] for v in per_view], 1) for name in per_view[0]}
        arrays = {"index": np.array(indices)} | {k: v.cpu().numpy() for k, v in values.items()}
        rows += [{name: array[i] for name, array in arrays.items()} for i in range(len(indices))]
    rows = distributed.all_gather(rows)
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return columns | {"index": columns["index"].tolist()}

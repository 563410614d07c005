"""Metrics of predicted voxels: pure functions with one value per sample.

A new metric without a threshold is a function here and a row of `METRICS`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def occupancy_logits(logits: Tensor) -> Tensor:
    """Return the log-odds of "occupied": (..., 2, D, D, D) -> (..., D, D, D).

    Their sigmoid is `logits.softmax(-4)[..., 1, :, :, :]`.
    """
    free, occupied = logits.unbind(-4)
    return occupied - free


def voxel_loss(logits: Tensor, voxels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the voxels of each sample (section 3.4).

    Args:
        logits (Tensor): (B, 2, D, D, D); channel 1 is "occupied".
        voxels (Tensor): (B, D, D, D) of 0 and 1, any dtype.

    Returns:
        Tensor: (B,) float32.
    """
    log_odds = occupancy_logits(logits).float()
    target = voxels.to(log_odds.dtype)
    loss = F.binary_cross_entropy_with_logits(log_odds, target, reduction="none")
    return loss.flatten(1).mean(1)


def intersection_over_union(logits: Tensor, voxels: Tensor, threshold: float) -> Tensor:
    """Return the IoU of each sample at `probability >= threshold` (section 5.1).

    Args and Returns are those of `voxel_loss`; the IoU of two empty grids is 1.
    """
    log_odds = math.log(threshold / (1 - threshold)) if threshold < 1 else math.inf
    predicted, occupied = occupancy_logits(logits) >= log_odds, voxels.bool()
    intersection = (predicted & occupied).flatten(1).sum(1)
    union = (predicted | occupied).flatten(1).sum(1)
    return torch.where(union > 0, intersection / union.clamp(min=1), 1.0)


def average_precision(logits: Tensor, voxels: Tensor) -> Tensor:
    """Return the area under each sample's precision-recall curve.

    Voxels of equal probability are one step of the curve, as in scikit-learn's
    `average_precision_score`. A sample without an occupied voxel gets 0. Args and Returns are those
    of `voxel_loss`.
    """
    scores, order = torch.sigmoid(occupancy_logits(logits).float()).flatten(1).sort(descending=True)
    occupied = voxels.flatten(1).gather(1, order).double()  # (B, D³); float32 counts too coarsely
    rank = torch.arange(1, scores.shape[1] + 1, device=scores.device)
    precision = occupied.cumsum(1) / rank
    is_last = torch.ones_like(scores, dtype=torch.bool)  # of the voxels with equal probability
    is_last[:, :-1] = scores[:, :-1] != scores[:, 1:]
    step_end = torch.where(is_last, rank - 1, rank[-1]).flip(1).cummin(1).values.flip(1)
    total = (occupied * precision.gather(1, step_end)).sum(1)
    return (total / occupied.sum(1).clamp(min=1)).float()


METRICS = {"loss": voxel_loss, "average_precision": average_precision}

"""Pure functions of a prediction and the truth, one value per object."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def occupancy_logits(logits: Tensor) -> Tensor:
    """Log-odds of being occupied: (..., 2, D, D, D) -> (..., D, D, D)."""
    free, occupied = logits.unbind(-4)
    return occupied - free


def voxel_loss(logits: Tensor, voxels: Tensor) -> Tensor:
    """Mean cross-entropy over the voxels of each object (section 3.4): (B,).

    `logits` is (B, 2, D, D, D), `voxels` (B, D, D, D) of 0 and 1.
    """
    odds = occupancy_logits(logits).float()
    loss = F.binary_cross_entropy_with_logits(odds, voxels.to(odds.dtype), reduction="none")
    return loss.flatten(1).mean(1)


def intersection_over_union(logits: Tensor, voxels: Tensor, threshold: float) -> Tensor:
    """IoU of each object at `probability >= threshold` (section 5.1): (B,). Both empty counts 1."""
    least = math.log(threshold / (1 - threshold)) if threshold < 1 else math.inf
    predicted, occupied = occupancy_logits(logits) >= least, voxels.bool()
    overlap = (predicted & occupied).flatten(1).sum(1)
    union = (predicted | occupied).flatten(1).sum(1)
    return torch.where(union > 0, overlap / union.clamp(min=1), 1.0)


def average_precision(logits: Tensor, voxels: Tensor) -> Tensor:
    """Area under each object's precision-recall curve, the mean precision over recall: (B,).

    Voxels of equal probability count as one step of the curve, as in scikit-learn's
    `average_precision_score`. An object without an occupied voxel gets 0.
    """
    scores, order = torch.sigmoid(occupancy_logits(logits).float()).flatten(1).sort(descending=True)
    occupied = voxels.flatten(1).gather(1, order).double()
    rank = torch.arange(1, scores.shape[1] + 1, device=scores.device)
    precision = occupied.cumsum(1) / rank
    last = torch.ones_like(scores, dtype=torch.bool)
    last[:, :-1] = scores[:, :-1] != scores[:, 1:]  # of the voxels with one probability
    step_end = torch.where(last, rank - 1, rank[-1]).flip(1).cummin(1).values.flip(1)
    found = (occupied * precision.gather(1, step_end)).sum(1)
    return found / occupied.sum(1).clamp(min=1)

"""Pure functions of a prediction and the truth, one value per object."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def evidence(logits: Tensor) -> Tensor:
    """Log-odds of being occupied: (..., 2, D, D, D) -> (..., D, D, D)."""
    free, occupied = logits.unbind(-4)
    return occupied - free


def voxel_loss(logits: Tensor, voxels: Tensor) -> Tensor:
    """Mean cross-entropy over the voxels of each object (section 3.4): (B,).

    `logits` is (B, 2, D, D, D), `voxels` (B, D, D, D) of 0 and 1.
    """
    odds = evidence(logits).float()
    loss = F.binary_cross_entropy_with_logits(odds, voxels.to(odds.dtype), reduction="none")
    return loss.flatten(1).mean(1)


def intersection_over_union(logits: Tensor, voxels: Tensor, threshold: float) -> Tensor:
    """IoU of each object at `probability >= threshold` (section 5.1): (B,). Both empty counts 1."""
    least = math.log(threshold / (1 - threshold)) if threshold < 1 else math.inf
    predicted, occupied = evidence(logits) >= least, voxels.bool()
    overlap = (predicted & occupied).flatten(1).sum(1)
    union = (predicted | occupied).flatten(1).sum(1)
    return torch.where(union > 0, overlap / union.clamp(min=1), 1.0)

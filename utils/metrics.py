"""Metrics of predicted voxels: pure functions with one value per sample."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from utils.parallel import num_cores
from utils.voxels import exposed_faces

F_SCORE_PERCENT = (1, 2, 5)  # distances of the F-score, in percent of the grid's side
POINTS_PER_EDGE = 3  # with 8×8 points on each face, the F-score differs by less than 0.05


def occupancy_logits(logits: Tensor) -> Tensor:
    """Return the log-odds of "occupied": (..., 2, D, D, D) -> (..., D, D, D).

    Their sigmoid is `logits.softmax(-4)[..., 1, :, :, :]`.
    """
    free, occupied = logits.unbind(-4)
    return occupied - free


def exceeds(logits: Tensor, threshold: float) -> Tensor:
    """Return where `probability >= threshold`: (..., 2, D, D, D) -> (..., D, D, D) bool."""
    log_odds = math.log(threshold / (1 - threshold)) if threshold < 1 else math.inf
    return occupancy_logits(logits) >= log_odds


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


def soft_iou_loss(logits: Tensor, voxels: Tensor) -> Tensor:
    """Return 1 - IoU of each sample, with probabilities in place of a threshold (not in the paper).

    Args and Returns are those of `voxel_loss`.
    """
    probability = torch.sigmoid(occupancy_logits(logits).float()).flatten(1)
    target = voxels.flatten(1).to(probability.dtype)
    intersection = (probability * target).sum(1)
    union = probability.sum(1) + target.sum(1) - intersection
    return 1 - intersection / union.clamp(min=1)


def intersection_over_union(logits: Tensor, voxels: Tensor, threshold: float) -> Tensor:
    """Return the IoU of each sample at `probability >= threshold` (section 5.1).

    `threshold` is in (0, 1], the other Args and Returns are those of `voxel_loss`. The IoU of two
    empty grids is 1.
    """
    predicted, occupied = exceeds(logits, threshold), voxels.bool()
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


def surface_metrics(logits: Tensor, voxels: Tensor, threshold: float) -> dict[str, Tensor]:
    """Return F-scores and Chamfer distance of each sample's surface at `probability >= threshold`.

    The surface of a grid is that of its voxels as cubes, and its points are the centers of 3×3
    squares on each face. The unit of length is the grid's side.

    The F-score at a distance d is the harmonic mean of precision, the fraction of predicted points
    with a ground-truth point closer than d, and recall, the reverse (Tatarchenko et al., CVPR 2019;
    Pix2Vox++ reports it at 1%). The Chamfer distance is the mean distance from a predicted point to
    the nearest ground-truth point plus the mean of the reverse; neither is squared or halved.

    A single empty grid has F-score 0 and Chamfer distance 2√3, its maximum; two have 1 and 0.

    Args are those of `intersection_over_union`.

    Returns:
        dict: "f_score_1pct" (at 1% of the grid's side), "f_score_2pct", "f_score_5pct" and
            "chamfer_distance", each (B,) float32.
    """
    predicted = exceeds(logits, threshold).cpu().numpy()
    pairs = zip(predicted, voxels.bool().cpu().numpy(), strict=True)
    rows = [_compare_surfaces(*map(surface_points, pair)) for pair in pairs]
    return {
        name: torch.tensor([row[name] for row in rows], dtype=torch.float32, device=logits.device)
        for name in rows[0]
    }


def _compare_surfaces(points: np.ndarray, target: np.ndarray) -> dict[str, float]:
    if len(points) and len(target):
        to_target, _ = cKDTree(target).query(points, workers=num_cores())
        to_predicted, _ = cKDTree(points).query(target, workers=num_cores())
    else:
        to_target = to_predicted = np.array([0 if len(points) == len(target) else math.sqrt(3)])
    values = {}
    for percent in F_SCORE_PERCENT:
        precision, recall = ((d < percent / 100).mean() for d in (to_target, to_predicted))
        values[f"f_score_{percent}pct"] = 2 * precision * recall / max(precision + recall, 1e-9)
    return values | {"chamfer_distance": to_target.mean() + to_predicted.mean()}


def surface_points(occupied: np.ndarray) -> np.ndarray:
    """Sample the faces of voxels evenly: (D, D, D) bool -> (N, 3) float64 in [0, 1]."""
    corners, _ = exposed_faces(occupied)  # (F, 4, 3)
    steps = (np.arange(POINTS_PER_EDGE) + 0.5) / POINTS_PER_EDGE
    u, v = (corners[:, i] - corners[:, 0] for i in (1, 3))
    along = corners[:, None, 0] + steps[:, None] * u[:, None]  # (F, 3, 3)
    points = along[:, :, None] + steps[:, None] * v[:, None, None]  # (F, 3, 3, 3)
    return points.reshape(-1, 3) / len(occupied)


def compute_metrics(
    logits: Tensor, voxels: Tensor, thresholds: list[float], surface: bool = False
) -> dict[str, Tensor]:
    """Return all metrics of each sample, those of the surface on request.

    Args are those of the metrics. Metrics with a threshold are (B, T), the others (B,).
    """
    at_thresholds = []
    for threshold in thresholds:
        row = {"iou": intersection_over_union(logits, voxels, threshold)}
        if surface:
            row |= surface_metrics(logits, voxels, threshold)
        at_thresholds.append(row)
    names = at_thresholds[0]
    values = {name: torch.stack([row[name] for row in at_thresholds], dim=-1) for name in names}
    return values | {name: metric(logits, voxels) for name, metric in METRICS.items()}


# A new metric without a threshold is a function above and a row here.
METRICS = {"loss": voxel_loss, "average_precision": average_precision}


def report_validation(
    evaluation: dict, categories: list[str]
) -> tuple[dict[str, dict], dict[str, float]]:
    """Print and return the loss and IoU for 1, 3, 5 and all views, and the IoU by category.

    `evaluation` is that of `evaluate` for one threshold, with samples of these categories.
    """
    categories = np.array(categories)
    values = {"loss": evaluation["loss"], "iou": evaluation["iou"][..., 0]}  # (N, V)
    means = {name: value.mean(0, dtype=float).tolist() for name, value in values.items()}
    metrics = {"val": {name: mean[-1] for name, mean in means.items()}}
    max_views = len(means["loss"])
    for num_views in sorted({v for v in (1, 3, 5) if v < max_views} | {max_views}):
        loss, iou = (mean[num_views - 1] for mean in means.values())
        if num_views in (1, 3, 5):
            metrics[f"val_{num_views}_views"] = {"loss": loss, "iou": iou}
        print(f"validation, views: {num_views}, loss: {loss:.4f}, IoU: {iou:.4f}")
    of_all_views = values["iou"][:, -1]
    ious = {c: of_all_views[categories == c].mean() for c in sorted(set(categories.tolist()))}
    rows = (f"{category} {iou:.3f}" for category, iou in ious.items())
    print(f"validation, views: {max_views}, IoU by category: {', '.join(rows)}")
    return metrics, {f"iou by category/{category}": iou for category, iou in ious.items()}

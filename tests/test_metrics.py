import numpy as np
import pytest
import torch
import torch.nn.functional as F

from utils.metrics import (
    average_precision,
    intersection_over_union,
    occupancy_logits,
    soft_iou_loss,
    surface_metrics,
    voxel_loss,
)


@pytest.fixture
def prediction():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 2, 8, 8, 8, generator=generator)
    return logits, torch.rand(3, 8, 8, 8, generator=generator) < 0.2


def test_loss_is_the_mean_cross_entropy_of_each_sample(prediction):
    logits, voxels = prediction
    expected = [F.cross_entropy(a[None], b[None].long()) for a, b in zip(*prediction, strict=True)]
    assert torch.allclose(voxel_loss(logits, voxels), torch.stack(expected), atol=1e-6)
    assert torch.allclose(torch.sigmoid(occupancy_logits(logits)), logits.softmax(1)[:, 1])


@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.5, 0.9])
def test_iou_matches_reference(prediction, threshold):
    logits, voxels = prediction
    found = intersection_over_union(logits, voxels, threshold)
    probs = logits.softmax(1)[:, 1].numpy()
    for value, one, truth in zip(found, probs, voxels.numpy(), strict=True):
        predicted = one >= threshold
        expected = np.sum(predicted & truth) / np.sum(predicted | truth)
        assert value == pytest.approx(expected, abs=1e-6)


def test_soft_iou_loss_of_sure_predictions_is_one_minus_iou(prediction):
    logits, voxels = prediction
    sure = 1e6 * logits
    expected = 1 - intersection_over_union(sure, voxels, 0.5)
    assert torch.allclose(soft_iou_loss(sure, voxels), expected, atol=1e-6)
    assert (soft_iou_loss(logits, voxels) > 0).all() and (soft_iou_loss(logits, voxels) < 1).all()


def test_iou_of_two_empty_grids_is_one_and_of_one_empty_grid_zero():
    sure = torch.zeros(2, 2, 4, 4, 4)
    sure[0, 0], sure[1, 1] = 9, 9
    assert intersection_over_union(sure, torch.zeros(2, 4, 4, 4), 0.4).tolist() == [1, 0]


def plain_average_precision(scores, occupied):
    """Step by step over the distinct scores, from the highest down."""
    precision_sum = found = seen = 0
    for score in sorted(set(scores.tolist()), reverse=True):
        step = scores == score
        seen += step.sum()
        found += occupied[step].sum()
        precision_sum += occupied[step].sum() * found / seen
    return precision_sum / max(occupied.sum(), 1)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_matches_reference(prediction, ties):
    logits, voxels = prediction
    logits = logits.round() if ties else logits
    found = average_precision(logits, voxels)
    scores = torch.sigmoid(occupancy_logits(logits)).numpy()
    for value, one, truth in zip(found, scores, voxels.numpy(), strict=True):
        expected = plain_average_precision(one.ravel(), truth.ravel())
        assert value.item() == pytest.approx(expected, abs=1e-6)


def compare_surfaces(predicted, target):
    """Return the surface metrics of two grids (D, D, D) of 0 and 1, as floats."""
    logits = torch.stack([torch.zeros(predicted.shape), 20 * (predicted - 0.5)])
    values = surface_metrics(logits[None], target[None], 0.5)
    return {name: value.item() for name, value in values.items()}


def test_surface_metrics_of_two_neighboring_voxels():
    predicted, target = torch.zeros(2, 8, 8, 8)
    predicted[2, 3, 3] = target[3, 3, 3] = 1
    # Of a voxel's 54 points, 9 lie on the shared face and 9 on the opposite one, at distance 1. The
    # rows of 12 points around it have their nearest points on the shared face.
    rows = [12 * (along**2 + 1) ** 0.5 / 6 for along in (1, 3, 5)]
    values = compare_surfaces(predicted, target)
    assert values["chamfer_distance"] == pytest.approx(2 * (sum(rows) + 9) / 54 / 8)
    assert values["f_score_1pct"] == values["f_score_2pct"] == pytest.approx(9 / 54)
    assert values["f_score_5pct"] == pytest.approx((9 + 12) / 54)  # within 0.4 voxels


def test_surface_metrics_of_equal_and_empty_grids():
    empty, full = torch.zeros(4, 4, 4), torch.ones(4, 4, 4)
    for grid in (empty, full):
        assert [*compare_surfaces(grid, grid).values()] == [1, 1, 1, 0]
    for pair in ((empty, full), (full, empty)):
        assert [*compare_surfaces(*pair).values()] == pytest.approx([0, 0, 0, 2 * 3**0.5])

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from utils.metrics import average_precision, intersection_over_union, occupancy_logits, voxel_loss


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
    for value, one, truth in zip(
        found, logits.softmax(1)[:, 1].numpy(), voxels.numpy(), strict=True
    ):
        predicted = one >= threshold
        expected = np.sum(predicted & truth) / np.sum(predicted | truth)
        assert value == pytest.approx(expected, abs=1e-6)


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
    if ties:
        logits = logits.round()
    found = average_precision(logits, voxels)
    scores = torch.sigmoid(occupancy_logits(logits)).numpy()
    for value, one, truth in zip(found, scores, voxels.numpy(), strict=True):
        expected = plain_average_precision(one.ravel(), truth.ravel())
        assert value.item() == pytest.approx(expected, abs=1e-6)


def test_average_precision_of_certain_and_empty_samples():
    logits = torch.zeros(2, 2, 4, 4, 4)
    voxels = torch.zeros(2, 4, 4, 4)
    voxels[0, :2] = 1
    logits[0, 1] = voxels[0]
    assert average_precision(logits, voxels).tolist() == [1, 0]

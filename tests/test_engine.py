from itertools import pairwise

import numpy as np
import pytest
import torch

from data.loader import TrainBatchSampler, eval_batches, make_loader
from data.shapenet import SampleKey, ShapeNetDataset, collate, index_dataset
from tests.helpers import make_dataset, small_network
from utils.config import Config
from utils.distributed import Precision
from utils.engine import Progress, evaluate, learning_rate, make_optimizer, train_one_epoch
from utils.metrics import compute_metrics

FP32 = Precision("fp32", torch.device("cpu"))


def rates_of(*, steps: int, **options) -> list[float]:
    config = Config(LR=1.0, **options)
    return [learning_rate(config, step, steps) for step in range(config.num_epochs * steps)]


def test_step_schedule_halves_after_epochs_3_10_20_50_and_100():
    rates = rates_of(steps=2, num_epochs=101)
    epochs = (1, 3, 4, 10, 11, 20, 21, 50, 51, 101)
    assert {epoch: rates[2 * epoch - 1] for epoch in epochs} == {
        **{1: 1, 3: 1, 4: 1 / 2, 10: 1 / 2, 11: 1 / 4, 20: 1 / 4},
        **{21: 1 / 8, 50: 1 / 8, 51: 1 / 16, 101: 1 / 32},
    }
    assert rates[::2] == rates[1::2]


def test_cosine_schedule_falls_to_zero_after_a_linear_warmup():
    options = {"steps": 25, "num_epochs": 4, "lr_schedule": "cosine"}
    falling, warmed = rates_of(**options), rates_of(**options, warmup_steps=10)
    assert falling[0] == 1 and falling[50] == pytest.approx(0.5) and 0 < falling[-1] < 0.001
    assert all(before > after for before, after in pairwise(falling))
    assert warmed[10:] == falling[10:]
    assert warmed[:10] == pytest.approx([k / 10 * rate for k, rate in enumerate(falling[:10], 1)])


def test_constant_schedule_decays_to_zero_over_the_last_epochs():
    options = {"steps": 5, "num_epochs": 6, "lr_schedule": "constant"}
    rates = rates_of(**options, decay_epochs=2)
    assert rates[:21] == 21 * [1]
    assert rates[20:] == pytest.approx([left / 10 for left in range(10, 0, -1)])
    assert rates_of(**options, decay_epochs=0) == 30 * [1]


def test_weight_decay_applies_to_weights_only():
    network = small_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = make_optimizer(network, 0.01, weight_decay=0.1)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for key, value in network.state_dict().items():
        if key.endswith("bias"):
            assert torch.equal(value, before[key])
        else:
            assert value.abs().sum() < before[key].abs().sum()


def test_evaluate_matches_single_samples_and_keeps_the_network(dataset):
    network = small_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    samples = ShapeNetDataset(index_dataset(dataset), 128)
    loader = make_loader(samples, eval_batches(list(range(15)), 4, 2))
    measured = evaluate(network, loader, FP32, [0.3, 0.4], "")
    assert measured["index"] == list(range(15))
    assert measured["loss"].shape == (15, 2) and measured["iou"].shape == (15, 2, 2)
    assert all(measured[name].dtype == np.float32 for name in ("loss", "average_precision", "iou"))
    with torch.no_grad():
        for position, views in ((0, 1), (0, 2), (14, 1), (14, 2)):
            images, voxels, _ = collate([samples[SampleKey(position, 0, views)]])
            logits = network(images / 255)
            expected = compute_metrics(logits, voxels, [0.3, 0.4])
            for name, values in expected.items():
                found = measured[name][position, views - 1]
                np.testing.assert_allclose(found, values[0], rtol=1e-5, err_msg=name)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


def test_small_network_learns_two_samples(tmp_path):
    network = small_network()
    index = index_dataset(make_dataset(tmp_path, {"03001627": 2}))
    samples = ShapeNetDataset(index, 128)
    loader = make_loader(samples, TrainBatchSampler(range(2), 2, 2, 2, seed=0))
    optimizer, progress = make_optimizer(network, 0.004, weight_decay=0), Progress()
    config = Config(LR=0.004, threshold=0.4, lr_schedule="constant", num_epochs=30)
    for _ in range(30):
        means = train_one_epoch(network, loader, optimizer, FP32, config, progress)
        progress.finish_epoch()
    assert means["iou"] > 0.6


def test_the_soft_iou_loss_changes_the_training_but_not_the_loss_that_is_shown(dataset):
    samples = ShapeNetDataset(index_dataset(dataset), 128, augmentation="paper")
    losses, weights = [], []
    for iou_weight in (0.0, 0.2):
        network = small_network()
        optimizer = make_optimizer(network, 0.003, weight_decay=0)
        loader = make_loader(samples, TrainBatchSampler([0, 1], 2, 1, 1, seed=0), 0)
        config = Config(LR=0.003, threshold=0.4, iou_weight=iou_weight)
        losses.append(train_one_epoch(network, loader, optimizer, FP32, config, Progress())["loss"])
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert losses[0] == losses[1]
    assert not torch.equal(*weights)


@pytest.mark.parametrize("name", ["tf32", "bf16", "fp16"])
def test_other_precisions_train_and_evaluate_nearly_the_same(dataset, name):
    samples = ShapeNetDataset(index_dataset(dataset), 128, augmentation="paper")
    results = []
    for precision in (FP32, Precision(name, torch.device("cpu"))):
        network = small_network()
        optimizer = make_optimizer(network, 0.003, weight_decay=0)
        loader = make_loader(samples, TrainBatchSampler(range(4), 2, 1, 2, seed=0))
        config = Config(LR=0.003, threshold=0.4)
        scalars = train_one_epoch(network, loader, optimizer, precision, config, Progress())
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
        loader = make_loader(samples, eval_batches([0, 1], 2, 2))
        measured = evaluate(network, loader, precision, [0.4], "")
        results.append((scalars["loss"], *measured["loss"].ravel()))
    assert results[0] == pytest.approx(results[1], rel=0.05)
    assert (results[0] == results[1]) == (name == "tf32")

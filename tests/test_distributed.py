"""Training by two processes, as `torchrun` starts it, beside one process with the double batch."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from data.sampling import TrainingBatches

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16])
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_batches_of_one_with_all_their_objects(count, processes):
    whole = TrainingBatches(list(range(count)), 2 * processes, 1, 5, 0)
    shares = [
        TrainingBatches(list(range(count)), 2, 1, 5, 0, r, processes) for r in range(processes)
    ]
    seen = Counter()
    for batch, *parts in zip(whole, *shares, strict=True):
        assert len({draw.views for part in (batch, *parts) for draw in part}) == 1
    for share in shares:
        for draws, scale in zip(share, share.scales(), strict=True):
            assert 1 <= len(draws) <= 2
            seen.update(draw.position for draw in draws if scale)
    assert seen == Counter(range(count))
    for one, *scales in zip(whole.scales(), *(share.scales() for share in shares), strict=True):
        assert all(scale in (0, pytest.approx(processes * one)) for scale in scales)


def test_two_processes_train_like_one_with_the_double_batch(dataset, tmp_path):
    flags = ["--width=0.0625", "--max_views=2", "--num_workers=0", "--device=cpu", "--num_epochs=2"]
    flags += [f"--database_path={dataset}", "--val_portion=0.3"]
    one = [
        sys.executable,
        "train.py",
        *flags,
        "--batch_size=6",
        f"--saved_models_path={tmp_path}/one",
    ]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    rendezvous = ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]
    two = [*torchrun, *rendezvous, "train.py", *flags, "--batch_size=3"]
    two += [f"--saved_models_path={tmp_path}/two"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command in (one, two):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    checkpoints = [
        torch.load(tmp_path / name / "3d-r2n2/checkpoint_epoch_00000002.pth", weights_only=True)
        for name in ("one", "two")
    ]
    for part in ("train", "val"):
        for name in ("loss", "iou"):
            values = [checkpoint["metrics"][part][name] for checkpoint in checkpoints]
            assert values[0] == pytest.approx(values[1], abs=1e-5)
    for key, value in checkpoints[0]["weights"].items():
        assert torch.allclose(value, checkpoints[1]["weights"][key], atol=1e-5), key

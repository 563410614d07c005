"""Training by two processes, as `torchrun` starts it, beside one process with the double batch."""

import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from data.loader import TrainBatchSampler
from tests.helpers import ROOT, read_checkpoint
from utils import distributed
from utils.errors import InputError


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16])
@pytest.mark.parametrize("processes", [2, 3])
def test_ranks_share_the_batches_of_one_process(count, processes):
    whole = TrainBatchSampler(list(range(count)), 2 * processes, 1, 5, 0)
    ranks = range(processes)
    shares = [TrainBatchSampler(range(count), 2, 1, 5, 0, rank, processes) for rank in ranks]
    seen = Counter()
    for batch, *parts in zip(whole, *shares, strict=True):
        assert len({draw.num_views for part in (batch, *parts) for draw in part}) == 1
    for share in shares:
        for draws, scale in zip(share, share.loss_scales(), strict=True):
            assert 1 <= len(draws) <= 2
            seen.update(draw.index for draw in draws if scale)
    assert seen == Counter(range(count))
    all_scales = (sampler.loss_scales() for sampler in (whole, *shares))
    for one, *scales in zip(*all_scales, strict=True):
        assert all(scale in (0, pytest.approx(processes * one)) for scale in scales)


FLAGS = ["--width=0.0625", "--max_views=2", "--num_workers=0", "--device=cpu", "--val_fraction=0.3"]
FLAGS += ["--precision=fp32"]  # sums of parts of a batch differ more in bf16
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
TORCHRUN += ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0", "train.py", "--batch_size=3"]


def start(command: list[str], dataset: Path, folder: Path, epochs: int, *flags: str, **variables):
    paths = [f"--database_path={dataset}", f"--saved_models_path={folder}"]
    return subprocess.Popen(
        [*command, *FLAGS, *paths, f"--num_epochs={epochs}", *flags],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def last_checkpoint(process: subprocess.Popen, folder: Path, epoch: int) -> dict:
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    return read_checkpoint(epoch, folder / "3d-r2n2")


def test_two_processes_train_like_one_with_the_double_batch(dataset, tmp_path):
    one = [sys.executable, "train.py", "--batch_size=6"]
    commands = {"one": one, "two": TORCHRUN}
    started = {name: start(commands[name], dataset, tmp_path / name, 2) for name in commands}
    one, two = (last_checkpoint(run, tmp_path / name, 2) for name, run in started.items())
    for part in ("train", "val"):
        for name in ("loss", "iou"):
            values = [checkpoint["metrics"][part][name] for checkpoint in (one, two)]
            assert values[0] == pytest.approx(values[1], abs=1e-5)
    for key, value in one["weights"].items():
        # Adam turns the rounding of a gradient near 0 into a whole step: so the mean, not each.
        assert (value - two["weights"][key]).abs().mean() < 1e-6, key


def test_death_of_a_process_ends_the_other_with_one_line(dataset, tmp_path):
    port = 20000 + os.getpid() % 10000  # below those that systems give to other processes
    variables = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, "train.py", "--batch_size=3"]
    ranks = [
        start(command, dataset, tmp_path, 1000, **variables, RANK=str(rank)) for rank in range(2)
    ]
    while not (tmp_path / "3d-r2n2" / "config.ini").exists():  # the last thing before the loop
        assert ranks[0].poll() is None
        time.sleep(0.01)
    ranks[1].kill()
    errors = [rank.communicate()[1] for rank in ranks]
    assert ranks[0].returncode == 2 and errors[0].count("\n") == 1, errors[0]
    assert errors[0].startswith("error: another process of the training died")


@pytest.mark.parametrize(
    "variables", [{"WORLD_SIZE": "x"}, {"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "x"}]
)
def test_wrong_variables_of_torchrun_are_named(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"WORLD_SIZE=.*torchrun"):
        distributed.init(torch.device("cpu"))


@pytest.mark.slow
def test_two_processes_resume_exactly_after_a_stop_signal(dataset, tmp_path):
    usual = last_checkpoint(start(TORCHRUN, dataset, tmp_path / "a", 40), tmp_path / "a", 40)
    process = start(TORCHRUN, dataset, tmp_path / "b", 40)
    folder = tmp_path / "b" / "3d-r2n2"
    while not list(folder.glob("checkpoint_epoch_*3.pth")):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    process.communicate()
    assert process.returncode != 0 and not (folder / "checkpoint_epoch_00000040.pth").exists()
    process = start(TORCHRUN, dataset, tmp_path / "b", 40, "--resume_epoch=last")
    resumed = last_checkpoint(process, tmp_path / "b", 40)
    for key, value in usual["weights"].items():
        assert torch.equal(value, resumed["weights"][key]), key


@pytest.mark.parametrize(
    ("has_bf16", "seconds", "expected"),
    [
        (True, (2, 1), "bf16"),
        (True, (1, 0.9), "fp32"),  # not clearly
        (True, (1, 2), "fp32"),
        (False, (2, 1), "fp32"),
    ],
)
def test_auto_is_the_faster_precision(monkeypatch, has_bf16, seconds, expected):
    measured = itertools.cycle(seconds)  # of products in fp32 and in bf16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_bf16})
    monkeypatch.setattr(distributed.timeit, "timeit", lambda *_, **__: next(measured))
    assert distributed.Precision("auto", torch.device("cpu")).name == expected

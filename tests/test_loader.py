import multiprocessing
import os
import resource
import signal
import subprocess
import sys

import pytest
import torch

from data.loader import TrainBatchSampler, eval_batches, make_loader
from data.shapenet import ShapeNetDataset, index_dataset
from tests.helpers import ROOT
from utils.errors import InputError


@pytest.mark.parametrize("num_workers", [1, 3])
def test_batches_do_not_depend_on_the_number_of_workers(dataset, num_workers):
    samples = ShapeNetDataset(index_dataset(dataset), 128, augmentation="strong")
    runs = []
    for workers in (0, num_workers):
        sampler = TrainBatchSampler(range(15), 4, 1, 3, seed=0)
        loader, batches = make_loader(samples, sampler, workers), []
        for epoch, start_batch in ((1, 0), (2, 2), (3, 0)):
            sampler.set_epoch(epoch, start_batch)
            batches += loader
        runs.append(batches)
    assert len(runs[0]) == 4 + 2 + 4
    for a, b in zip(*runs, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2]


def test_workers_persist_over_epochs_and_leave_signals_to_the_parent(dataset):
    sampler = eval_batches(list(range(8)), 2, 1)
    loader = make_loader(ShapeNetDataset(index_dataset(dataset), 128), sampler, 2)
    pids = []
    for _ in range(2):
        indices = [index for _, _, batch in loader for index in batch]
        assert indices == list(range(8))
        pids.append({worker.pid for worker in multiprocessing.active_children()})
        for pid in pids[-1]:
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
    assert pids[0] == pids[1] and len(pids[0]) == 2


class Failing(ShapeNetDataset):
    """A dataset whose workers come to the end `how`."""

    def __init__(self, index, how):
        super().__init__(index, 128)
        self.how = how

    def load_views(self, key):
        if self.how == "no shared memory":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))
        elif self.how == "no memory":
            raise MemoryError("Unable to allocate 9 GiB")
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().load_views(key)


@pytest.mark.parametrize("how", ["killed", "no memory", "no shared memory"])
def test_death_of_a_worker_is_an_error_that_says_what_to_do(dataset, how):
    loader = make_loader(Failing(index_dataset(dataset), how), eval_batches([0, 1, 2], 1, 1), 2)
    with pytest.raises(InputError, match="--num_workers"):
        list(loader)


def test_waiting_for_a_stopped_worker_can_be_ended(dataset):
    samples = ShapeNetDataset(index_dataset(dataset), 128)
    loader = make_loader(samples, eval_batches(list(range(15)), 1, 1), 1)

    def give_up():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        for _ in loader.batches(give_up):
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGSTOP)


@pytest.mark.parametrize(
    ("end", "status", "printed"),
    [("", 0, ""), ("raise ValueError('bug')", 1, "ValueError: bug\n")],
)
def test_stopped_workers_do_not_keep_a_script_from_its_end(dataset, end, status, printed):
    script = f"""
import multiprocessing, os, signal
from data.loader import eval_batches, make_loader
from data.shapenet import ShapeNetDataset, index_dataset
dataset = ShapeNetDataset(index_dataset({str(dataset)!r}), 128)
loader = make_loader(dataset, eval_batches(list(range(8)), 2, 1), 2)
batches = iter(loader)
next(batches)
for worker in multiprocessing.active_children():
    os.kill(worker.pid, signal.SIGSTOP)
{end}
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == status and done.stderr.endswith(printed)


def test_epoch_has_every_sample_once_and_one_number_of_views_per_batch():
    sampler = TrainBatchSampler(range(100, 150), 8, 1, 5, seed=0)
    epochs = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert sorted(key.index for batch in batches for key in batch) == list(range(100, 150))
        assert [len(batch) for batch in batches] == [8] * 6 + [2] and len(batches) == len(sampler)
        num_views = [{key.num_views for key in batch} for batch in batches]
        assert all(len(views) == 1 for views in num_views)
        assert len(set.union(*num_views)) > 1 and set.union(*num_views) <= set(range(1, 6))
        epochs.append(batches)
    assert epochs[0] != epochs[1]

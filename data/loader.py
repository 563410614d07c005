"""Batches: which samples they hold, and the DataLoader that makes them."""

import atexit
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue

import numpy as np
import torch
from torch.utils.data import DataLoader

from data.shapenet import SampleKey, ShapeNetDataset, collate
from utils.errors import InputError
from utils.signals import STOP_SIGNALS

WAIT_SECONDS = 300  # for a batch; a slow disk may take a minute for the first one
NO_MEMORY = re.compile("MemoryError|allocate memory|Unable to allocate")
DIED = (
    "a process that loads data died, probably of too little memory or shared memory (/dev/shm); "
    "use a smaller --num_workers, or 0; in Docker, raise --shm-size"
)
STOPPED = (
    "no batch for {} seconds: the processes that load data were stopped, or the disk does not "
    "answer; try --num_workers=0"
)


class TrainBatchSampler:
    """Batches of one epoch: shuffled samples, and one random number of views for each batch.

    Both depend on (seed, epoch) alone; `max_views` is inclusive. The last batch may be smaller.
    With several processes, a batch has batch_size * world_size samples, of which each rank gets
    every world_size-th.
    """

    def __init__(
        self,
        indices: list[int],
        batch_size: int,
        min_views: int,
        max_views: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ):
        if not indices:
            raise InputError("no samples in 'train'; see the sizes of the splits above")
        if min_views > max_views:
            raise InputError(f"min_views: {min_views} is more than max_views, {max_views}")
        self.indices, self.batch_size, self.seed = indices, batch_size * world_size, seed
        self.min_views, self.max_views = min_views, max_views
        self.rank, self.world_size = rank, world_size
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch to iterate over, and the batch to resume it from."""
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.indices).tolist()
        starts = range(0, len(order), self.batch_size)
        views = rng.integers(self.min_views, self.max_views, size=len(starts), endpoint=True)
        batches = [
            [SampleKey(i, epoch, num_views) for i in order[start : start + self.batch_size]]
            for start, num_views in zip(starts, views.tolist(), strict=True)
        ]
        self.batches = batches[start_batch:]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for batch in self.batches:
            yield batch[self.rank :: self.world_size] or batch[:1]  # see loss_scales

    def loss_scales(self) -> Iterator[float]:
        """Yield for each batch the factor on the sum of this rank's losses.

        DDP averages gradients over ranks; with this factor the result is the gradient of the mean
        loss of the whole batch. A rank without samples in a small last batch has to take part: it
        computes a sample of another rank with a factor of 0.
        """
        for batch in self.batches:
            yield self.world_size / len(batch) if self.rank < len(batch) else 0.0


def eval_batches(indices: list[int], batch_size: int, num_views: int) -> list[list[SampleKey]]:
    """Return the batches of all samples in order, each with its first `num_views` views."""
    starts = range(0, len(indices), batch_size)
    batches = (indices[start : start + batch_size] for start in starts)
    return [[SampleKey(i, 0, num_views) for i in batch] for batch in batches]


class Loader(DataLoader):
    """A DataLoader that ends in an error, not in silence, when its worker processes die or stop."""

    def __iter__(self) -> Iterator:
        return self.batches()

    def batches(self, while_waiting: Callable[[], None] = lambda: None) -> Iterator:
        """Yield all batches; call `while_waiting` each second that the next one takes.

        Raises:
            InputError: If a worker died, or no batch came for WAIT_SECONDS.
        """
        batches = super().__iter__()
        if not self.num_workers:
            yield from batches
            return
        if hasattr(signal, "SIGCHLD"):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises anywhere
        while True:
            with _each_second(while_waiting):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


@contextmanager
def _each_second(function: Callable[[], None]):
    """Call a function each second of the block, and raise InputError after WAIT_SECONDS.

    By an alarm: nothing else ends a read from a worker that was stopped. Alarms are counted, not
    seconds: those in which the whole training was stopped do not count.
    """
    num_alarms = 0

    def alarm(_number: int, _frame) -> None:
        nonlocal num_alarms
        num_alarms += 1
        try:
            function()
            if num_alarms >= WAIT_SECONDS:
                raise InputError(STOPPED.format(WAIT_SECONDS))
        except BaseException:
            _kill_workers()  # the end of the DataLoader would wait for them
            raise

    has_alarms = hasattr(signal, "SIGALRM")  # Windows has none
    if has_alarms:
        usual = signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        yield
    except Exception as error:
        if explained := _explained(error):
            raise explained from error
        raise
    finally:
        if has_alarms:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, usual)


def _explained(error: Exception) -> InputError | None:
    """Return the InputError for the death of a worker or its lack of memory."""
    text = str(error)
    if isinstance(error, EOFError | ConnectionError) or "DataLoader worker (pid" in text:
        return InputError(DIED)
    if NO_MEMORY.search(text):  # the last line of the worker's traceback
        reason = text.rstrip().rpartition("\n")[2].partition(": ")[2]
        remedy = "use a smaller --num_workers or --batch_size"
        return InputError(f"not enough memory: {reason}; {remedy}")
    return None


def make_loader(
    dataset: ShapeNetDataset, batch_sampler, num_workers: int = 0, *, pin_memory: bool = False
) -> Loader:
    """Return a loader of images (B, V, 3, S, S), voxels (B, D, D, D) and indices.

    The batches are the same for every number of workers, because samples depend on their keys
    alone.
    """
    num_workers = min(num_workers, len(batch_sampler))
    return Loader(
        dataset,
        batch_sampler=batch_sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_init_worker,
        generator=torch.Generator(),  # a DataLoader draws from the global one otherwise
    )


def _init_worker(_worker: int) -> None:
    """Leave signals to the training process, and exit silently where it gets the error.

    torchrun and Slurm send SIGTERM to every process of a job. The workers exit with the DataLoader,
    or when the training process is gone.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "SIGBUS"):
        signal.signal(signal.SIGBUS, signal.SIG_DFL)  # of a full /dev/shm
    # Without shared memory for a batch, the queue would print the error and drop the batch.
    Queue._on_queue_feeder_error = staticmethod(lambda *_: os._exit(1))


@atexit.register  # runs before multiprocessing's hook, which sends SIGTERM and waits
def _kill_workers() -> None:
    """Kill the workers of DataLoaders that still exist when the interpreter exits."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()

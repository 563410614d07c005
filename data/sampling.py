"""Which objects make a batch, and of how many views."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class SampleKey(NamedTuple):
    """A sample to make: an object's position in the index, the epoch, and a number of views."""

    position: int
    epoch: int
    views: int


class TrainBatchSampler:
    """Batches of an epoch: objects in random order, one number of views for each batch.

    Both follow from (seed, epoch) alone; `begin` an epoch before iterating. The last batch holds
    what is left. Of several processes, that of `rank` gets every so many-th object of each batch of
    `processes` times `batch_size`, so that each object is drawn by one of them.
    """

    def __init__(
        self,
        members: list[int],
        batch_size: int,
        min_views: int,
        max_views: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
    ):
        self.members, self.batch_size, self.seed = members, batch_size * processes, seed
        self.min_views, self.max_views = min_views, max_views
        self.rank, self.processes = rank, processes
        self.begin(0)

    def begin(self, epoch: int, first: int = 0) -> None:
        """Turn to an epoch, of which the batches before `first` are left out."""
        self.epoch, self.first = epoch, first

    def __len__(self) -> int:
        return -(-len(self.members) // self.batch_size) - self.first

    def __iter__(self) -> Iterator[list[SampleKey]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(self.members).tolist()
        starts = range(0, len(order), self.batch_size)
        limits = self.min_views, self.max_views
        views = rng.integers(*limits, size=len(starts), endpoint=True).tolist()
        for start, count in list(zip(starts, views, strict=True))[self.first :]:
            batch = order[start : start + self.batch_size]
            share = batch[self.rank :: self.processes] or batch[:1]
            yield [SampleKey(position, self.epoch, count) for position in share]

    def objects(self, batches: int) -> int:
        """How many objects the first `batches` of an epoch hold, of all processes together."""
        return min(batches * self.batch_size, len(self.members))

    def scales(self) -> Iterator[float]:
        """What a process multiplies the sum of its objects' losses with, batch by batch.

        The gradients' mean over the processes is then that of the mean over the whole batch. A
        process without a share computes another's object with it, at a scale of 0.
        """
        for start in range(0, len(self.members), self.batch_size)[self.first :]:
            size = min(self.batch_size, len(self.members) - start)
            yield self.processes / size if self.rank < size else 0.0


class EvalBatchSampler:
    """All objects in their order, nothing dropped, each with its first views."""

    def __init__(self, members, batch_size: int, views: int):
        self.members, self.batch_size, self.views = members, batch_size, views

    def __len__(self) -> int:
        return -(-len(self.members) // self.batch_size)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for start in range(0, len(self.members), self.batch_size):
            batch = self.members[start : start + self.batch_size]
            yield [SampleKey(position, 0, self.views) for position in batch]

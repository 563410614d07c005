"""Which objects make a batch, and of how many views."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Draw(NamedTuple):
    """A sample to make: an object's position in the index, the epoch, and a number of views."""

    position: int
    epoch: int
    views: int


class TrainingBatches:
    """Batches of an epoch: objects in random order, one number of views for each batch.

    Both follow from (seed, epoch) alone; set `epoch` before iterating. The last batch holds what
    is left.
    """

    def __init__(self, members, batch_size: int, min_views: int, max_views: int, seed: int):
        self.members, self.batch_size, self.seed = members, batch_size, seed
        self.min_views, self.max_views = min_views, max_views
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.members) // self.batch_size)

    def __iter__(self) -> Iterator[list[Draw]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(self.members)
        views = rng.integers(self.min_views, self.max_views, size=len(self), endpoint=True)
        for start, count in zip(range(0, len(order), self.batch_size), views, strict=True):
            batch = order[start : start + self.batch_size]
            yield [Draw(int(position), self.epoch, int(count)) for position in batch]


class EvaluationBatches:
    """All objects in their order, nothing dropped, each with its first views."""

    def __init__(self, members, batch_size: int, views: int):
        self.members, self.batch_size, self.views = members, batch_size, views

    def __len__(self) -> int:
        return -(-len(self.members) // self.batch_size)

    def __iter__(self) -> Iterator[list[Draw]]:
        for start in range(0, len(self.members), self.batch_size):
            batch = self.members[start : start + self.batch_size]
            yield [Draw(position, 0, self.views) for position in batch]

"""From a dataset's path to its parts, and from a part to batches."""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from data.shapenet import (
    ShapeNetDataset,
    ShapeNetIndex,
    collate,
    index_dataset,
    split_from_file,
    split_sorted,
)
from utils.errors import InputError

# More workers than cores is for the user to choose.
warnings.filterwarnings("ignore", "This DataLoader will create")

SYNTHETIC = Path("datasets/synthetic")


def open_dataset(
    database_path: str, split_file: str, val_fraction: float
) -> tuple[ShapeNetIndex, dict[str, list[int]]]:
    """Index a dataset and split it; print what there is and what was left out.

    `database_path` "synthetic" stands for the furniture set that is built on first use. The parts
    "train", "val", "test" and "all" are lists of positions in the index.
    """
    if database_path == "synthetic":
        from data.builder.synthetic import build  # only this dataset needs trimesh and embreex

        build(SYNTHETIC)
        database_path = SYNTHETIC
    index = index_dataset(database_path)
    left_out = dict(index.left_out)
    if split_file:
        parts, missing = split_from_file(index, split_file)
        left_out |= missing
    else:
        parts = split_sorted(index, val_fraction)
    if index.excluded:
        left_out["in exclude.txt"] = sum(name in index.excluded for name in index.names)
    parts["all"] = [p for p, name in enumerate(index.names) if name not in index.excluded]
    counts = ", ".join(f"{len(members)} {part}" for part, members in parts.items() if part != "all")
    print(f"{database_path}: {len(parts['all'])} objects ({counts})")
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        print(f"left out: {reasons}")
    return index, parts


class Loader(DataLoader):
    """Batches that one can stop between: `check` is called before each, and may raise.

    Raises InputError when a process that loads them dies, naming what it was to load.
    """

    dataset: ShapeNetDataset
    check: Callable[[], None] | None = None

    def __iter__(self) -> Iterator:
        batches = super().__iter__()
        if self.num_workers and threading.current_thread() is threading.main_thread():
            # torch would raise in the middle of a step; here, waiting for a batch, it tells as well
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for draws in self.batch_sampler:
            if self.check:
                self.check()
            try:
                batch = next(batches)
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                index = self.dataset.index
                names = ", ".join(index.names[draw.position] for draw in draws)
                raise InputError(
                    f"{index.root}: a process that loads pictures and voxels died, maybe for want "
                    f"of memory (--num_workers=0 loads without); awaited were {names}"
                ) from error
            yield batch


def make_loader(samples: ShapeNetDataset, batches, num_workers: int, *, pin: bool) -> Loader:
    """Load the samples that `batches` draws, in `num_workers` processes (0: in this one)."""
    return Loader(
        samples,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=min(num_workers, len(batches)),
        pin_memory=pin,
        worker_init_fn=_leave_group,
        generator=torch.Generator(),  # or torch's random state would depend on the workers
    )


def _leave_group(_worker: int) -> None:
    """Leave signals that are meant for the whole training, as Ctrl-C is, to its main process."""
    os.setpgrp()

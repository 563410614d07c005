"""From a dataset's path to its parts, and from a part to batches."""

import warnings
from pathlib import Path

from torch.utils.data import DataLoader

from data.shapenet import Index, Samples, collate, index_dataset, split_from_file, split_sorted

# More workers than cores is for the user to choose.
warnings.filterwarnings("ignore", "This DataLoader will create")

SYNTHETIC = Path("datasets/synthetic")


def open_dataset(
    database_path: str, split_file: str, val_portion: float
) -> tuple[Index, dict[str, list[int]]]:
    """Index a dataset and split it; print what there is and what was left out.

    `database_path` "synthetic" stands for the furniture set that is built on first use. The parts
    "train", "val", "test" and "all" are lists of positions in the index.
    """
    if database_path == "synthetic":
        from data.synthetic import build  # only this dataset needs trimesh and embreex

        build(SYNTHETIC)
        database_path = SYNTHETIC
    index = index_dataset(database_path)
    left_out = dict(index.left_out)
    if split_file:
        parts, missing = split_from_file(index, split_file)
        left_out |= missing
    else:
        parts = split_sorted(index, val_portion)
    if index.excluded:
        left_out["in exclude.txt"] = sum(name in index.excluded for name in index.names)
    parts["all"] = [p for p, name in enumerate(index.names) if name not in index.excluded]
    counts = ", ".join(f"{len(members)} {part}" for part, members in parts.items() if part != "all")
    print(f"{database_path}: {len(parts['all'])} objects ({counts})")
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        print(f"left out: {reasons}")
    return index, parts


def make_loader(samples: Samples, batches, num_workers: int, *, pin: bool) -> DataLoader:
    """Load the samples that `batches` draws, in `num_workers` processes (0: in this one)."""
    return DataLoader(
        samples,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=min(num_workers, len(batches)),
        pin_memory=pin,
    )

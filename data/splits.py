"""Training, validation and test splits, as lists of indices into a dataset's index."""

import json
import re
from collections import Counter
from itertools import groupby
from pathlib import Path

from data.shapenet import ShapeNetIndex
from utils.errors import InputError
from utils.files import read_text

SPLITS = ("train", "val", "test")
MAX_SPLIT_BYTES = 2**28  # the 43,784 names of ShapeNet take 2 MB
VARIANT = re.compile(r"\+\d+$")  # data.builder names stretched variants of a shape NAME+1, NAME+2


def split_sorted(index: ShapeNetIndex, val_fraction: float) -> dict[str, list[int]]:
    """Split as 3D-R2N2 did: 80% of each category's sorted shapes for training, the rest for test.

    `val_fraction` of the training split, from its end and at least one of two shapes, is for
    validation. Variants stay in the split of their original.
    """
    splits = {split: [] for split in SPLITS}
    originals = _originals(index.names)
    indices = sorted(range(len(index.names)), key=lambda i: (_category(originals[i]), originals[i]))
    for _, category in groupby(indices, lambda i: _category(originals[i])):
        category = list(category)
        names = [originals[i] for i in category]
        train_end = _move_to_boundary(names, int(0.8 * len(names)))
        num_val = max(int(val_fraction * train_end), int(val_fraction > 0 and train_end > 1))
        val_start = _move_to_boundary(names, train_end - num_val)
        splits["train"] += category[:val_start]
        splits["val"] += category[val_start:train_end]
        splits["test"] += category[train_end:]
    return _without_excluded(index, splits)


def _originals(names: list[str]) -> list[str]:
    """Return for each name the one it is a variant of, if that is present, else itself."""
    present = set(names)
    originals = (VARIANT.sub("", name) for name in names)
    return [o if o in present else name for o, name in zip(originals, names, strict=True)]


def _category(name: str) -> str:
    return name.partition("/")[0]


def _move_to_boundary(names: list[str], end: int) -> int:
    """Move `end` back until it separates no equal names."""
    while 0 < end < len(names) and names[end] == names[end - 1]:
        end -= 1
    return end


def split_from_file(index: ShapeNetIndex, path: str | Path) -> tuple[dict[str, list[int]], Counter]:
    """Read a split in Pix2Vox's JSON format.

    The format is [{"taxonomy_id": ..., "train": [shape, ...], "val": [...], "test": [...]}, ...];
    "val" may be missing.

    Returns:
        tuple: The splits, and counts of names that either the file or the index lacks.

    Raises:
        InputError: If the file is no such split, or has a shape twice.
    """
    text = read_text(path, MAX_SPLIT_BYTES)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON: {error}") from error
    index_of = {name: i for i, name in enumerate(index.names)}
    splits, split_of, missing = {split: [] for split in SPLITS}, {}, Counter()
    for i, entry in enumerate(content if isinstance(content, list) else [content]):
        where = f"{path}: entry {i}"
        if not isinstance(entry, dict) or not isinstance(entry.get("taxonomy_id"), str):
            raise InputError(f"{where}: expected an object with a string 'taxonomy_id'")
        for split in SPLITS:
            shapes = entry.get(split, [] if split == "val" else None)
            if not isinstance(shapes, list) or not all(isinstance(s, str) for s in shapes):
                raise InputError(f"{where}: {split}: expected a list of shape names")
            for shape in shapes:
                name = f"{entry['taxonomy_id']}/{shape}"
                if name in split_of:
                    raise InputError(f"{where}: {name} is in {split_of[name]} and in {split}")
                split_of[name] = split
                if name in index_of:
                    splits[split].append(index_of[name])
                else:
                    missing["in the split, not on disk"] += 1
    missing["on disk, not in the split"] = sum(name not in split_of for name in index.names)
    return _without_excluded(index, splits), +missing


def _without_excluded(index: ShapeNetIndex, splits: dict[str, list[int]]) -> dict[str, list[int]]:
    return {
        split: sorted(i for i in indices if index.names[i] not in index.excluded)
        for split, indices in splits.items()
    }

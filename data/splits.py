"""Training, validation and test splits, as lists of indices into a dataset's index."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from data.shapenet import ShapeNetIndex
from utils.errors import InputError
from utils.files import read_json

SPLITS = ("train", "val", "test")
VARIANT = re.compile(r"\+\d+$")  # data.builder names stretched variants of a shape NAME+1, NAME+2


def split_sorted(index: ShapeNetIndex, val_fraction: float) -> dict[str, list[int]]:
    """Split as 3D-R2N2 did: 80% of each category's sorted shapes for training, the rest for test.

    `val_fraction` of the training split, from its end and at least one of two shapes, is for
    validation. Variants stay in the split of their original.
    """
    splits = {split: [] for split in SPLITS}
    keys = [original.partition("/") for original in _originals(index.names)]
    indices = sorted(range(len(keys)), key=keys.__getitem__)
    for _, category in groupby(indices, lambda i: keys[i][0]):
        category = list(category)
        names = [keys[i] for i in category]
        train_end = _move_to_boundary(names, int(0.8 * len(names)))
        num_val = max(int(val_fraction * train_end), int(val_fraction > 0 and train_end > 1))
        val_start = _move_to_boundary(names, train_end - num_val)
        splits["train"] += category[:val_start]
        splits["val"] += category[val_start:train_end]
        splits["test"] += category[train_end:]
    return splits


def _originals(names: list[str]) -> list[str]:
    """Return for each name the one it is a variant of, if that is present, else itself."""
    present = set(names)
    originals = (VARIANT.sub("", name) for name in names)
    return [o if o in present else name for o, name in zip(originals, names, strict=True)]


def _move_to_boundary(names: list, end: int) -> int:
    """Move `end` back until it separates no equal names."""
    while 0 < end < len(names) and names[end] == names[end - 1]:
        end -= 1
    return end


def split_from_file(
    index: ShapeNetIndex, path: str | Path
) -> tuple[ShapeNetIndex, dict[str, list[int]]]:
    """Read a split from JSON, in the form of Pix2Vox or of Mesh R-CNN.

    Returns:
        tuple: The index and its splits. A shape with listed views gets a row of its own;
            `left_out` has the names missing on either side.

    Raises:
        InputError: If the file is no such split, has a view twice, or has one that is not on disk.
    """
    names, views = index.names.copy(), index.views.copy()
    row_of = {name: i for i, name in enumerate(index.names)}
    splits = {split: [] for split in SPLITS}
    split_of_view: dict[str, dict[int, str]] = {}  # by the shape's name
    missing = []
    for split, name, listed in _read_shapes(path):
        if name not in row_of:
            missing.append(name)
            continue
        row = row_of[name]
        files = index.views[row]
        used = split_of_view.setdefault(name, {})
        for view in files if listed is None else listed:
            if view not in files:
                raise InputError(f"{path}: {split}: {name}: no view {view} in {index.root}")
            if view in used:
                raise InputError(f"{path}: {name} is in {used[view]} and in {split}")
            used[view] = split
        if listed is not None and listed != list(files):
            row = len(names)  # only then: a shape's row decides its random views and crops
            names.append(name)
            views.append({view: files[view] for view in listed})
        splits[split].append(row)

    left_out = index.left_out | {
        "in split_file, not on disk": missing,
        "on disk, not in split_file": [n for n in index.names if n not in split_of_view],
    }
    return replace(index, names=names, views=views, left_out=left_out), splits


def _read_shapes(path: str | Path) -> list[tuple[str, str, list[int] | None]]:
    """Return the split, the name and the views (None: all) of each shape in a split file."""
    content = read_json(path)
    read = _read_mesh_rcnn if isinstance(content, dict) else _read_pix2vox
    with suppress(AttributeError, KeyError, TypeError):
        if shapes := list(read(content)):
            return shapes
    raise InputError(
        f"{path}: expected the shapes of train, val and test in the form of Pix2Vox or of Mesh "
        "R-CNN, got something else (a list of categories?); leave split_file empty for 3D-R2N2's "
        "own split"
    )


def _read_pix2vox(content: list[dict]) -> Iterator[tuple[str, str, None]]:
    """Read [{"taxonomy_id": category, "train": [shape, ...], "val": [...], "test": [...]}, ...]."""
    for entry in content:
        for split in SPLITS:
            for shape in entry.get(split, []):
                yield split, f"{entry['taxonomy_id']}/{shape}", None


def _read_mesh_rcnn(content: dict) -> Iterator[tuple[str, str, list[int]]]:
    """Read {"train": {category: {shape: [view, ...]}}, "val": ..., "test": ...}; PyTorch3D's too.

    The views of a shape may be divided between splits.
    """
    for split in SPLITS:
        for category, shapes in content.get(split, {}).items():
            for shape, views in shapes.items():
                yield split, f"{category}/{shape}", list(views)

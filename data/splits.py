"""Training, validation and test splits, as lists of indices into a dataset's index."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from data.shapenet import ShapeNetIndex
from utils.errors import InputError
from utils.files import read_json

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
    return splits


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


def split_from_file(
    index: ShapeNetIndex, path: str | Path
) -> tuple[ShapeNetIndex, dict[str, list[int]]]:
    """Read a split from JSON, in one of two forms. "val" may be missing in both.

    Pix2Vox's is [{"taxonomy_id": category, "train": [shape, ...], "val": [...], "test": [...]},
    ...]. Mesh R-CNN's, which PyTorch3D reads too, is {"train": {category: {shape: [view, ...]}},
    "val": {...}, "test": {...}}. It may divide the views of a shape between splits.

    Returns:
        tuple: The index, with each shape of which some views are listed again at its end, with
            these alone, and with counts of names that the file or it lacks; and the splits of that
            index.

    Raises:
        InputError: If the file is no such split, or has a shape or a view twice.
    """
    content = read_json(path, MAX_SPLIT_BYTES)
    has_views = isinstance(content, dict) and "taxonomy_id" not in content
    read = _read_mesh_rcnn if has_views else _read_pix2vox
    rows = list(range(len(index.names)))
    index_of = {name: i for i, name in enumerate(index.names)}
    splits, listed_views, missing = {split: [] for split in SPLITS}, {}, Counter()
    uses: dict[str, list[tuple[str, list[int]]]] = {}  # of each name: split and views
    for split, name, views in read(content, path):
        for other, used in uses.setdefault(name, []):
            if other == split or not views or not used or set(views) & set(used):
                raise InputError(f"{path}: {name} is in {other} and in {split}")
        uses[name].append((split, views))
        if name not in index_of:
            missing["in the split, not on disk"] += 1
            continue
        i = index_of[name]
        if views and max(views) >= index.num_views[i]:
            found = f"{index.num_views[i]} views in {index.root}, got {max(views)}"
            raise InputError(f"{path}: {name}: expected a view of the {found}")
        if views == [*index.views(i)]:
            views = []  # the index of a shape decides its random views and crops
        splits[split].append(len(rows) if views else i)
        if views:
            listed_views[len(rows)] = views
            rows.append(i)
    missing["on disk, not in the split"] = sum(name not in uses for name in index.names)
    index = replace(index.take(rows), listed_views=listed_views, left_out=index.left_out + missing)
    return index, splits


def _read_pix2vox(content, path: str | Path) -> Iterator[tuple[str, str, list[int]]]:
    """Yield split, "category/shape" and no views."""
    for i, entry in enumerate(content if isinstance(content, list) else [content]):
        where = f"{path}: entry {i}"
        if not isinstance(entry, dict) or not isinstance(entry.get("taxonomy_id"), str):
            raise InputError(f"{where}: expected an object with a string 'taxonomy_id'")
        for split in SPLITS:
            shapes = entry.get(split, [] if split == "val" else None)
            if not isinstance(shapes, list) or not all(isinstance(s, str) for s in shapes):
                raise InputError(f"{where}: {split}: expected a list of shape names")
            for shape in shapes:
                yield split, f"{entry['taxonomy_id']}/{shape}", []


def _read_mesh_rcnn(content: dict, path: str | Path) -> Iterator[tuple[str, str, list[int]]]:
    """Yield split, "category/shape" and its views."""
    if unknown := content.keys() - set(SPLITS):
        expected = f"the splits {', '.join(SPLITS)}"
        raise InputError(f"{path}: expected {expected}, got {min(unknown)[:40]!r}")
    for split in SPLITS:
        categories = content.get(split, {} if split == "val" else None)
        if not isinstance(categories, dict):
            raise InputError(f"{path}: {split}: expected an object of categories")
        for category, shapes in categories.items():
            where = f"{path}: {split}: {category}"
            if not isinstance(shapes, dict):
                raise InputError(f"{where}: expected an object of shapes and their views")
            for shape, views in shapes.items():
                is_list = isinstance(views, list) and all(type(v) is int and v >= 0 for v in views)
                if not (is_list and 0 < len(set(views)) == len(views)):
                    raise InputError(f"{where}/{shape}: expected a list of different views")
                yield split, f"{category}/{shape}", views

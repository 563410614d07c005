"""ShapeNet's renderings and voxels on disk: which objects there are, their parts, their samples.

Layout: ROOT/ShapeNetRendering/<category>/<model>/rendering/{00..23}.png and
ROOT/ShapeNetVox32/<category>/<model>/model.binvox.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from operator import methodcaller
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.binvox import read_binvox
from data.categories import CATEGORIES
from data.layout import EXCLUDED, GRID, RENDERINGS, VOXELS, real_trees
from data.sampling import SampleKey
from data.transforms import as_bytes, eval_transform, load_image, train_transform
from utils.errors import InputError, explain
from utils.files import read_text

MOST_VIEWS = 255  # that are told apart in the index
LARGEST_LIST = 2**28  # bytes of a file that names objects; 43,784 of them take 2 MB
IS_PICTURE = methodcaller("endswith", ".png")
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class ShapeNetIndex:
    """The objects of a dataset that have both views and voxels.

    `names` are "category/model", sorted; `views` counts the pictures of each; `excluded` are the
    names that exclude.txt takes out of every part; `left_out` counts what could not be used, by
    reason.
    """

    root: Path
    names: list[str]
    views: np.ndarray
    excluded: frozenset[str] = frozenset()
    left_out: Counter = field(default_factory=Counter)

    def category(self, position: int) -> str:
        """The category of an object: its name for the 13 official ones, else its folder's."""
        folder = self.names[position].partition("/")[0]
        return CATEGORIES.get(folder, folder)

    def picture_path(self, position: int, view: int) -> str:  # a Path takes longer than the check
        return f"{self.root}/{RENDERINGS}/{self.names[position]}/rendering/{view:02d}.png"

    def voxels_path(self, position: int) -> Path:
        return self.root / VOXELS / self.names[position] / "model.binvox"

    @cached_property
    def folders(self) -> tuple[Path, Path]:
        return real_trees(self.root)


def index_dataset(root: str | Path) -> ShapeNetIndex:
    """List the dataset under `root`, without opening a file of it.

    Raises InputError when a tree is missing or a category has no object that can be used.
    """
    root = Path(root)
    for tree in (RENDERINGS, VOXELS):
        if not (root / tree).is_dir():
            raise InputError(
                f"database_path: expected a folder {root / tree}, found none "
                "(README tells how to get ShapeNet; 'synthetic' needs no download)"
            )
    names, views, left_out = [], [], Counter()
    for category in sorted(_folders(root / RENDERINGS) | _folders(root / VOXELS)):
        trees = f"{root}/{RENDERINGS}/{category}", f"{root}/{VOXELS}/{category}"
        rendered, voxelised = map(_folders, trees)
        left_out["no views"] += len(voxelised - rendered)
        left_out["no voxels"] += len(rendered - voxelised)
        usable = False
        for model in sorted(rendered & voxelised):
            pictures, has_voxels = _look(*trees, model)
            if pictures and has_voxels:
                names.append(f"{category}/{model}")
                views.append(min(pictures, MOST_VIEWS))
                usable = True
            else:
                left_out["no voxels" if pictures else "no views"] += 1
        if not usable:
            raise InputError(
                f"{root / RENDERINGS / category}: expected models with views and voxels, found none"
            )
    if not names:
        raise InputError(f"{root / RENDERINGS}: expected categories of models, found none")
    return ShapeNetIndex(root, names, np.array(views, np.uint8), _excluded(root), +left_out)


def _folders(path: str | Path) -> set[str]:
    try:
        with os.scandir(path) as entries:
            return {e.name for e in entries if e.is_dir() and not e.name.startswith(".")}
    except FileNotFoundError:
        return set()


def _look(renderings: str, voxels: str, model: str) -> tuple[int, bool]:
    """How many pictures a model has, and whether it has voxels."""
    try:
        files = os.listdir(f"{renderings}/{model}/rendering")
    except (FileNotFoundError, NotADirectoryError):
        files = ()
    return sum(map(IS_PICTURE, files)), os.access(f"{voxels}/{model}/model.binvox", os.F_OK)


def _excluded(root: Path) -> frozenset[str]:
    path = root / EXCLUDED
    lines = read_text(path, LARGEST_LIST, root.resolve()).splitlines() if path.exists() else ()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def split_sorted(index: ShapeNetIndex, val_fraction: float) -> dict[str, list[int]]:
    """The authors' split: of each category's sorted models the first 80% train, the rest test.

    `val_fraction` of the training part, from its end and at least one object where there are two,
    is validation. A mesh's stretched variants, "name+1" and so on, stay in the part of its name.
    The parts are lists of positions in the index.
    """
    parts = {part: [] for part in PARTS}
    start = 0
    for count in Counter(name.partition("/")[0] for name in index.names).values():
        originals = [name.partition("+")[0] for name in index.names[start : start + count]]
        train = _whole_originals(originals, int(0.8 * count))
        val = max(int(val_fraction * train), int(val_fraction > 0 and train > 1))
        ends = (0, _whole_originals(originals, train - val), train, count)
        for part, first, end in zip(PARTS, ends, ends[1:], strict=False):
            parts[part] += range(start + first, start + end)
        start += count
    return _without_excluded(index, parts)


def _whole_originals(originals: list[str], end: int) -> int:
    """The end of a part, moved back to where the variants of one original do not straddle it."""
    while 0 < end < len(originals) and originals[end] == originals[end - 1]:
        end -= 1
    return end


def split_from_file(index: ShapeNetIndex, path: str | Path) -> tuple[dict[str, list[int]], Counter]:
    """The split in a JSON file of Pix2Vox's form, and counts of what it and the index lack.

    The form: a list of {"taxonomy_id": ..., "train": [model, ...], "val": [...], "test": [...]}.
    """
    try:
        content = json.loads(read_text(path, LARGEST_LIST))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON: {error}") from error
    positions = {name: position for position, name in enumerate(index.names)}
    parts, seen, missing = {part: [] for part in PARTS}, {}, Counter()
    for number, entry in enumerate(content if isinstance(content, list) else [content]):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("taxonomy_id"), str):
            raise InputError(f"{where}: expected an object with a text 'taxonomy_id'")
        for part in PARTS:
            models = entry.get(part)
            if not isinstance(models, list) or not all(isinstance(m, str) for m in models):
                raise InputError(f"{where}: {part}: expected a list of model names")
            for model in models:
                name = f"{entry['taxonomy_id']}/{model}"
                if name in seen:
                    raise InputError(f"{where}: {name} is in {seen[name]} and in {part}")
                seen[name] = part
                if name in positions:
                    parts[part].append(positions[name])
                else:
                    missing["in the split, not on disk"] += 1
    missing["on disk, not in the split"] += sum(name not in seen for name in index.names)
    return _without_excluded(index, parts), +missing


def _without_excluded(index: ShapeNetIndex, parts: dict[str, list[int]]) -> dict[str, list[int]]:
    return {
        part: sorted(p for p in positions if index.names[p] not in index.excluded)
        for part, positions in parts.items()
    }


class ShapeNetDataset(Dataset):
    """Views and voxels of objects; what a sample is depends on seed and draw alone.

    `samples[SampleKey(position, epoch, views)]` is (images, voxels, position): bytes (V, S, S, 3),
    bytes (32, 32, 32) of 0 and 1, and the object's position in the index. For training, V different
    views are drawn at random and augmented, with scale, light and colors too where `varied`; else
    they are the first V, cropped in the middle.
    """

    def __init__(
        self,
        index: ShapeNetIndex,
        image_size: int,
        seed: int,
        *,
        training: bool,
        varied: bool = False,
    ):
        self.index, self.image_size, self.seed = index, image_size, seed
        self.training, self.varied = training, varied

    def __getitem__(self, draw: SampleKey) -> tuple[np.ndarray, np.ndarray, int]:
        try:
            return self.make(draw)
        except OSError as error:  # a loading process would lose the file's name
            raise InputError(explain(error)) from error

    def make(self, draw: SampleKey) -> tuple[np.ndarray, np.ndarray, int]:
        position, epoch, count = draw
        available = int(self.index.views[position])
        if count > available:
            folder = os.path.dirname(self.index.picture_path(position, 0))
            raise InputError(f"{folder}: expected {count} views (max_views), found {available}")
        rng = np.random.default_rng((self.seed, epoch, position))
        numbers = rng.choice(available, count, replace=False) if self.training else range(count)
        within = self.index.folders[0]
        pictures = (load_image(self.index.picture_path(position, n), within) for n in numbers)
        if self.training:
            views = [
                train_transform(picture, self.image_size, rng, varied=self.varied)
                for picture in pictures
            ]
        else:
            views = [eval_transform(picture, self.image_size) for picture in pictures]
        return as_bytes(views), self.voxels(position), position

    def voxels(self, position: int) -> np.ndarray:
        path = self.index.voxels_path(position)
        voxels = read_binvox(path, self.index.folders[1])
        if voxels.shape != (GRID, GRID, GRID):
            raise InputError(f"{path}: expected {GRID} cells a side, found {voxels.shape[0]}")
        return voxels.view(np.uint8)


def collate(samples: list) -> tuple[Tensor, Tensor, list[int]]:
    """A batch: images (B, V, 3, S, S) and voxels (B, 32, 32, 32), both bytes, and positions."""
    images, voxels, positions = zip(*samples, strict=True)
    images = torch.from_numpy(np.stack(images)).permute(0, 1, 4, 2, 3)
    return images, torch.from_numpy(np.stack(voxels)), list(positions)

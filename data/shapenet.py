"""ShapeNet's renderings and voxels: which shapes there are, and their samples.

The layout is that of data/layout.py.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from data.layout import CATEGORIES, EXCLUDED, METADATA, RENDERINGS, RESOLUTION, VOXELS, VOXELS_FILE
from data.transforms import eval_transform, load_image, train_transform
from utils.errors import InputError, explain
from utils.files import read_text
from utils.voxels import read_binvox

VIEWS_FORMAT = f"{RENDERINGS}/{{name}}/rendering"
VOXELS_FORMAT = f"{VOXELS}/{{name}}/{VOXELS_FILE}"
VIEW_FILE = re.compile(r"(\d{2,3})\.(png|jpg|jpeg)")
# Reasons in ShapeNetIndex.left_out.
NO_VIEWS, NO_VOXELS, NOT_VIEWS = "no views", "no voxels", "files that are not views"
FILES_BESIDE_VIEWS = {"renderings.txt", METADATA, "cameras.npz"}
# Separates the samples' random streams from the sampler's: NumPy reads (s, e) as (s, e, 0, 0).
SAMPLE_STREAM = 1


@dataclass(frozen=True)
class ShapeNetIndex:
    """The N shapes of a dataset that have both views and voxels.

    Attributes:
        root (Path): Folder of the dataset.
        names (list[str]): "category/shape", sorted.
        views (list[dict[int, str]]): The file name of each view of a shape, by its number.
        excluded (frozenset[str]): Names that exclude.txt keeps out of every split.
        left_out (dict[str, list[str]]): What is not used: names of shapes or files, by reason.
        views_format, voxels_format (str): A shape's folder of views and its voxels, within root.
    """

    root: Path
    names: list[str]
    views: list[dict[int, str]]
    excluded: frozenset[str] = frozenset()
    left_out: dict[str, list[str]] = field(default_factory=dict)
    views_format: str = VIEWS_FORMAT
    voxels_format: str = VOXELS_FORMAT

    def __str__(self) -> str:
        return f"{self.root}: {', '.join(self.names)}"

    def split_up(self) -> "list[ShapeNetIndex]":
        """Return an index of each shape alone, for another process to read."""
        return [
            replace(self, names=[name], views=[views], excluded=frozenset(), left_out={})
            for name, views in zip(self.names, self.views, strict=True)
        ]

    def category(self, i: int) -> str:
        """Return the English name of an official category, else the folder's name."""
        folder = self.names[i].partition("/")[0]
        return CATEGORIES.get(folder, folder)

    def label(self, i: int) -> str:
        """Return "category/shape" with the category's English name."""
        return f"{self.category(i)}/{self.names[i].partition('/')[2]}"

    def views_folder(self, i: int) -> str:
        return f"{self.root}/{self.views_format.format(name=self.names[i])}"

    def image_path(self, i: int, view: int) -> str:
        return f"{self.views_folder(i)}/{self.views[i][view]}"  # a Path takes 10 times as long

    def voxels_path(self, i: int) -> str:
        return f"{self.root}/{self.voxels_format.format(name=self.names[i])}"

    def load_image(self, i: int, view: int) -> Image.Image:
        """Return a view as RGBA, 137×137."""
        return load_image(self.image_path(i, view))

    def load_voxels(self, i: int) -> np.ndarray:
        """Return a shape's voxels, (D, D, D) uint8 of 0 and 1, axes x, y, z."""
        return read_binvox(self.voxels_path(i)).view(np.uint8)

    def require_views(self, indices: Iterable[int], num_views: int) -> None:
        """Raise InputError, naming the first shape that has fewer views."""
        for i in indices:
            if len(self.views[i]) < num_views:
                found = f"got {len(self.views[i])}: {', '.join(self.views[i].values())}"
                raise InputError(
                    f"{self.views_folder(i)}: expected {num_views} views (max_views), {found}"
                )


def index_dataset(root: str | Path) -> ShapeNetIndex:
    """List the shapes under `root` without opening their files.

    Raises:
        InputError: If a tree is missing, or no shape has both views and voxels.
    """
    root = Path(root)
    trees = root / RENDERINGS, root / VOXELS
    for folder in (root, *trees):
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder (database_path); README.md says how to get ShapeNet, "
                "`python -m data.builder` makes a dataset of meshes, and 'synthetic' needs neither"
            )
    names = {
        f"{category}/{shape}"
        for tree in trees
        for category in _list_folder(tree)
        for shape in _list_folder(tree / category)
    }
    in_order = sorted(names, key=lambda name: name.split("/"))
    return index_shapes(root, in_order, VIEWS_FORMAT, VOXELS_FORMAT)


def index_shapes(
    root: Path, names: list[str], views_format: str, voxels_format: str
) -> ShapeNetIndex:
    """Index those shapes that have both views and voxels."""
    usable, views, left_out = [], [], defaultdict(list)
    for name in names:
        folder = views_format.format(name=name)
        found, others = _find_views(_list_folder(f"{root}/{folder}"))
        if others:
            left_out[NOT_VIEWS] += [f"{folder}/{other}" for other in others]
        if not found:
            left_out[NO_VIEWS].append(name)
        elif not os.path.exists(f"{root}/{voxels_format.format(name=name)}"):
            left_out[NO_VOXELS].append(name)
        else:
            usable.append(name)
            views.append(found)
    if not usable:
        expected = f"{views_format}/00.png and {voxels_format}".format(name="CATEGORY/SHAPE")
        raise InputError(f"{root}: no shape with both views and voxels, {expected}")
    excluded = read_excluded(root)
    return ShapeNetIndex(root, usable, views, excluded, left_out, views_format, voxels_format)


def _list_folder(path: str | Path) -> tuple[str, ...]:
    """Return the sorted names in a folder, but for hidden ones; none if there is no such folder."""
    try:
        return tuple(sorted(name for name in os.listdir(path) if not name.startswith(".")))
    except (FileNotFoundError, NotADirectoryError):
        return ()


@lru_cache  # most folders hold the same names
def _find_views(files: tuple[str, ...]) -> tuple[dict[int, str], list[str]]:
    """Return the names of the views in a folder, by number, and of other files.

    Of 00.jpg and 00.png, the latter is the view.
    """
    matches = [match for file in files if (match := VIEW_FILE.fullmatch(file))]
    views = dict(sorted((int(match[1]), match[0]) for match in matches))
    known = FILES_BESIDE_VIEWS.union(views.values())
    return views, [file for file in files if file not in known]


def read_excluded(root: Path) -> frozenset[str]:
    """Return the names in exclude.txt, if there is one."""
    path = root / EXCLUDED
    lines = read_text(path).splitlines() if path.exists() else []
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


class SampleKey(NamedTuple):
    """A shape's index, the epoch it is drawn in, and a number of views (None: all it has)."""

    index: int
    epoch: int = 0
    num_views: int | None = None


class ShapeNetDataset(Dataset):
    """Views and voxels of shapes.

    `dataset[key]`, of a SampleKey or an index, is a tuple of the images, (V, S, S, 3) uint8 RGB;
    the voxels, (D, D, D) uint8 of 0 and 1, axes x, y, z; and the index. It depends on the seed and
    the key alone, whatever was drawn before.

    Args:
        index (ShapeNetIndex): The shapes.
        image_size (int): S, at most 137.
        resolution (int): D, of the voxel files and of the network.
        seed (int): Of everything random in training.
        augmentation (str): For training, "paper" to choose V random views and to crop, flip and
            color them at random, or "strong" to vary scale, light and colors too. None for the
            first V views, center-cropped on a gray background.
    """

    def __init__(
        self,
        index: ShapeNetIndex,
        image_size: int,
        resolution: int = RESOLUTION,
        seed: int = 0,
        augmentation: str | None = None,
    ):
        self.index, self.image_size, self.resolution = index, image_size, resolution
        self.seed, self.augmentation = seed, augmentation

    def __len__(self) -> int:
        return len(self.index.names)

    def __getitem__(self, key: int | SampleKey) -> tuple[np.ndarray, np.ndarray, int]:
        if not isinstance(key, SampleKey):
            key = SampleKey(range(len(self))[key])  # an IndexError ends `for sample in dataset`
        try:
            return self.load_views(key), self.load_voxels(key.index), key.index
        except OSError as error:  # a DataLoader worker passes on the type and the text alone
            raise InputError(explain(error)) from error

    def examples(self, indices: list[int], num_views: int) -> list[tuple]:
        """Return the name of each sample, its views and its voxels (D, D, D) bool, to be drawn."""
        examples = []
        for i in indices:
            views, voxels, _ = self[SampleKey(i, 0, num_views)]
            name = f"{self.index.category(i)} {self.index.names[i].partition('/')[2]}"
            examples.append((name, views, voxels.astype(bool)))
        return examples

    def load_voxels(self, i: int) -> np.ndarray:
        """Return a shape's voxels, (D, D, D) uint8."""
        voxels, side = self.index.load_voxels(i), self.resolution
        if len(voxels) != side:
            path = self.index.voxels_path(i)
            raise InputError(f"{path}: expected {side}³ voxels (resolution), got {len(voxels)}³")
        return voxels

    def load_views(self, key: SampleKey) -> np.ndarray:
        """Return a sample's images, (V, S, S, 3) uint8."""
        index, epoch, num_views = key
        available = list(self.index.views[index])
        num_views = len(available) if num_views is None else num_views
        self.index.require_views([index], num_views)
        views, transform = available[:num_views], eval_transform
        if self.augmentation:
            rng = np.random.default_rng((self.seed, epoch, index, SAMPLE_STREAM))
            views = [available[i] for i in rng.choice(len(available), num_views, replace=False)]
            transform = partial(train_transform, rng=rng, augmentation=self.augmentation)
        images = (self.index.load_image(index, view) for view in views)
        return np.stack([transform(image, self.image_size) for image in images])


def collate(samples: list) -> tuple[Tensor, Tensor, list[int]]:
    """Batch samples: images (B, V, 3, S, S) uint8, voxels (B, D, D, D) uint8, and indices."""
    images, voxels, indices = zip(*samples, strict=True)
    images = torch.from_numpy(np.stack(images)).permute(0, 1, 4, 2, 3)  # channels-last in memory
    return images, torch.from_numpy(np.stack(voxels)), list(indices)

"""ShapeNet's renderings and voxels: which shapes there are, and their samples.

The layout is that of data/layout.py.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from data.layout import CATEGORIES, EXCLUDED, RENDERINGS, RESOLUTION, VOXELS
from data.transforms import eval_transform, load_image, to_array, train_transform
from utils.errors import InputError, explain
from utils.files import read_bytes
from utils.voxels import read_binvox

MAX_VIEWS = 255  # counted per shape, as uint8
MAX_EXCLUDED_BYTES = 2**28
IMAGE_FORMAT = f"{RENDERINGS}/{{name}}/rendering/{{view:02d}}.png"
VOXELS_FORMAT = f"{VOXELS}/{{name}}/model.binvox"
RENDERING_SUFFIXES = (".png", ".jpg", ".jpeg")  # one per dataset; JPEG has no alpha channel
SAMPLE_STREAM = 1  # TrainBatchSampler draws from (seed, epoch), which NumPy pads with zeros


@dataclass(frozen=True)
class ShapeNetIndex:
    """The N shapes of a dataset that have both views and voxels.

    Attributes:
        root (Path): Folder of the dataset.
        names (list[str]): "category/shape", sorted.
        num_views (ndarray): (N,) uint8, the number of images of each shape.
        excluded (frozenset[str]): Names that exclude.txt keeps out of every split.
        left_out (Counter): Numbers of unusable shapes and categories, by reason.
        listed_views (dict): The views to use of shapes that don't use all of theirs.
        image_format, voxels_format (str): Paths of a shape's files in root, by name and view.
    """

    root: Path
    names: list[str]
    num_views: np.ndarray
    excluded: frozenset[str] = frozenset()
    left_out: Counter = field(default_factory=Counter)
    listed_views: dict[int, list[int]] = field(default_factory=dict)
    image_format: str = IMAGE_FORMAT
    voxels_format: str = VOXELS_FORMAT

    def take(self, rows: list[int]) -> "ShapeNetIndex":
        """Return an index of these shapes; one may be there several times."""
        names = [self.names[i] for i in rows]
        return replace(self, names=names, num_views=self.num_views[rows])

    def views(self, i: int) -> Sequence[int]:
        """Return the numbers of the views to use of a shape."""
        return self.listed_views.get(i) or range(self.num_views[i])

    def category(self, i: int) -> str:
        """Return the English name of an official category, else the folder's name."""
        folder = self.names[i].partition("/")[0]
        return CATEGORIES.get(folder, folder)

    def image_path(self, i: int, view: int) -> str:  # joining a Path takes 10 times as long
        return f"{self.root}/" + self.image_format.format(name=self.names[i], view=view)

    def voxels_path(self, i: int) -> Path:
        return self.root / self.voxels_format.format(name=self.names[i])

    def load_image(self, i: int, view: int) -> Image.Image:
        """Return a view as RGBA, 137×137."""
        return load_image(self.image_path(i, view))

    def load_voxels(self, i: int) -> np.ndarray:
        """Return a shape's voxels, (D, D, D) uint8 of 0 and 1, axes x, y, z."""
        return read_binvox(self.voxels_path(i)).view(np.uint8)

    def require_views(self, indices: Iterable[int], num_views: int) -> None:
        """Raise InputError, naming the first shape that has fewer views."""
        for i in indices:
            if (available := len(self.views(i))) < num_views:
                folder = os.path.dirname(self.image_path(i, 0))
                listed = " in split_file" * (i in self.listed_views)
                raise InputError(
                    f"{folder}: expected {num_views} views (max_views), got {available}{listed}"
                )


def index_dataset(root: str | Path) -> ShapeNetIndex:
    """List the shapes under `root` without opening their files.

    Raises:
        InputError: If a tree is missing, or no shape has both views and voxels.
    """
    root = Path(root)
    for tree in (RENDERINGS, VOXELS):
        if not (root / tree).is_dir():
            raise InputError(
                f"{root}: no folder {tree}; README.md says how to get ShapeNet or build a dataset"
            )
    names, left_out = [], Counter()
    for category in sorted(_folders(root / RENDERINGS) | _folders(root / VOXELS)):
        shapes = _folders(root / RENDERINGS / category) | _folders(root / VOXELS / category)
        left_out["empty categories"] += not shapes
        names += [f"{category}/{shape}" for shape in sorted(shapes)]
    return index_shapes(root, names, left_out)


def index_shapes(
    root: Path,
    names: list[str],
    left_out: Counter,
    image_format: str = IMAGE_FORMAT,
    voxels_format: str = VOXELS_FORMAT,
) -> ShapeNetIndex:
    """Index those shapes that have voxels and views; the suffix is the one of most views."""
    usable, counts, folder_format = [], [], os.path.dirname(image_format)
    for name in names:
        num_views = _count_by_suffix(f"{root}/{folder_format.format(name=name)}")
        if not any(num_views):
            left_out["without views"] += 1
        elif not os.path.exists(f"{root}/{voxels_format.format(name=name)}"):
            left_out["without voxels"] += 1
        else:
            usable.append(name)
            counts.append(num_views)
    if not usable:
        raise InputError(f"{root}: no shape with both views and voxels")
    counts = np.minimum(counts, MAX_VIEWS).astype(np.uint8)  # (N, suffixes)
    used = counts.sum(0, int).argmax()
    suffix, num_views = RENDERING_SUFFIXES[used], counts[:, used]
    left_out[f"without {suffix} views"] = int((num_views == 0).sum())
    image_format = os.path.splitext(image_format)[0] + suffix
    excluded = read_excluded(root)
    index = ShapeNetIndex(
        root, usable, num_views, excluded, +left_out, {}, image_format, voxels_format
    )
    return index.take(np.flatnonzero(num_views).tolist())


def _folders(path: str | Path) -> set[str]:
    try:
        with os.scandir(path) as entries:
            return {e.name for e in entries if e.is_dir() and not e.name.startswith(".")}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _count_by_suffix(path: str) -> list[int]:
    """Return the number of images with each suffix."""
    try:
        names = [name for name in os.listdir(path) if name[0] != "."]
    except (FileNotFoundError, NotADirectoryError):
        names = []
    return [sum(name.endswith(suffix) for name in names) for suffix in RENDERING_SUFFIXES]


def read_excluded(root: Path) -> frozenset[str]:
    """Return the names in exclude.txt, if there is one."""
    path = root / EXCLUDED
    content = read_bytes(path, MAX_EXCLUDED_BYTES) if path.exists() else b""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, as some Windows tools write
        raise InputError(f"{path}: expected a text file in UTF-8")
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = text.split("\n")  # not splitlines, which splits at other characters too
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
        seed (int): Of everything random in training.
        training (bool): Choose V random views, and crop, flip and color them at random. Else the
            sample has the first V views, center-cropped on a gray background.
        resolution (int): D, of the voxel files and of the network.
        augmentation (str): "paper", or "strong" to vary scale, light and colors in training too.
    """

    def __init__(
        self,
        index: ShapeNetIndex,
        image_size: int,
        seed: int = 0,
        *,
        resolution: int = RESOLUTION,
        training: bool = False,
        augmentation: str = "paper",
    ):
        self.index, self.image_size, self.seed = index, image_size, seed
        self.resolution = resolution
        self.training, self.augmentation = training, augmentation

    def __len__(self) -> int:
        return len(self.index.names)

    def __getitem__(self, key: int | SampleKey) -> tuple[np.ndarray, np.ndarray, int]:
        if not isinstance(key, SampleKey):
            key = SampleKey(range(len(self))[key])  # an IndexError ends `for sample in dataset`
        try:
            return self.load_views(key), self.load_voxels(key.index), key.index
        except OSError as error:  # a DataLoader worker passes on the type and the text alone
            raise InputError(explain(error)) from error

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
        available = self.index.views(index)
        num_views = len(available) if num_views is None else num_views
        self.index.require_views([index], num_views)
        views, transform = available[:num_views], eval_transform
        if self.training:
            rng = np.random.default_rng((self.seed, epoch, index, SAMPLE_STREAM))
            views = [available[i] for i in rng.choice(len(available), num_views, replace=False)]
            transform = partial(train_transform, rng=rng, augmentation=self.augmentation)
        images = (self.index.load_image(index, view) for view in views)
        return to_array([transform(image, self.image_size) for image in images])


def collate(samples: list) -> tuple[Tensor, Tensor, list[int]]:
    """Batch samples: images (B, V, 3, S, S) uint8, voxels (B, D, D, D) uint8, and indices."""
    images, voxels, indices = zip(*samples, strict=True)
    images = torch.from_numpy(np.stack(images)).permute(0, 1, 4, 2, 3)  # channels-last in memory
    return images, torch.from_numpy(np.stack(voxels)), list(indices)

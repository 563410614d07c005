"""The dataset of Occupancy Networks (Mescheder et al., CVPR 2019).

ROOT/<category>/{train,val,test}.lst name a shape in each line; ROOT/<category>/<shape>/ has
img_choy2016/{000..023}.jpg, ShapeNetRendering's views on white, and model.binvox, ShapeNetVox32's
voxels. Its other files (cameras.npz, points.npz, ...) are not needed.
"""

import re
from collections import Counter
from pathlib import Path

from data.shapenet import ShapeNetIndex, index_shapes
from data.splits import SPLITS
from utils.errors import InputError
from utils.files import read_text

OCCUPANCY_IMAGE_FORMAT = "{name}/img_choy2016/{view:03d}.jpg"
MAX_LIST_BYTES = 2**26
SHAPE_NAME = re.compile(r"(?!\.)[^/\\]+")


def is_occupancy(root: str | Path) -> bool:
    """Return whether a folder is a dataset in this layout."""
    return any(Path(root).glob("*/train.lst"))


def index_occupancy(root: str | Path) -> tuple[ShapeNetIndex, dict[str, list[int]]]:
    """List the shapes under `root`, and the splits that its .lst files give.

    Raises:
        InputError: If a list is missing (only "val" may be) or names a shape twice, or no shape has
            both views and voxels.
    """
    root = Path(root)
    split_of: dict[str, str] = {}
    for category in sorted(path.parent for path in root.glob("*/train.lst")):
        for split in SPLITS:
            path = category / f"{split}.lst"
            if split != "val" or path.exists():
                _read_list(path, split, split_of)
    index = index_shapes(
        root, sorted(split_of), Counter(), OCCUPANCY_IMAGE_FORMAT, "{name}/model.binvox"
    )
    splits = {split: [] for split in SPLITS}
    for i, name in enumerate(index.names):
        splits[split_of[name]].append(i)
    return index, splits


def _read_list(path: Path, split: str, split_of: dict[str, str]) -> None:
    """Add the shapes of a list to `split_of`."""
    for i, line in enumerate(read_text(path, MAX_LIST_BYTES).splitlines(), start=1):
        shape = line.strip()
        if shape and not SHAPE_NAME.fullmatch(shape):  # it could lead out of the dataset
            raise InputError(f"{path}:{i}: expected the name of a folder, got {shape[:60]!r}")
        name = f"{path.parent.name}/{shape}"
        if other := split_of.get(name):
            raise InputError(f"{path}:{i}: {name} is in {other} and in {split}")
        if shape:
            split_of[name] = split

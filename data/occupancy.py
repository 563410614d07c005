"""The dataset of Occupancy Networks (Mescheder et al., CVPR 2019).

ROOT/<category>/{train,val,test}.lst name a shape in each line; ROOT/<category>/<shape>/ has
img_choy2016/{000..023}.jpg, ShapeNetRendering's views on white, and model.binvox, ShapeNetVox32's
voxels. Its other files (cameras.npz, points.npz, ...) are not needed.
"""

from pathlib import Path

from data.layout import VOXELS_FILE
from data.shapenet import ShapeNetIndex, index_shapes
from data.splits import SPLITS
from utils.files import read_text


def is_occupancy(root: str | Path) -> bool:
    """Return whether a folder is a dataset in this layout."""
    return any(Path(root).glob("*/train.lst"))


def index_occupancy(root: str | Path) -> tuple[ShapeNetIndex, dict[str, list[int]]]:
    """List the shapes under `root`, and the splits that its .lst files give.

    Raises:
        InputError: If a list is missing (only "val" may be), or no shape has both views and voxels.
    """
    root = Path(root)
    split_of: dict[str, str] = {}
    for category in sorted(path.parent for path in root.glob("*/train.lst")):
        for split in SPLITS:
            path = category / f"{split}.lst"
            if split == "val" and not path.exists():
                continue
            for shape in filter(None, map(str.strip, read_text(path).splitlines())):
                split_of[f"{category.name}/{shape}"] = split  # the last one, if in several

    index = index_shapes(root, sorted(split_of), "{name}/img_choy2016", f"{{name}}/{VOXELS_FILE}")
    splits = {split: [] for split in SPLITS}
    for i, name in enumerate(index.names):
        splits[split_of[name]].append(i)
    return index, splits

"""Convert Pix3D (Sun et al., CVPR 2018) to a dataset in ShapeNet's layout.

python -m data.builder.pix3d PIX3D --out DIR

PIX3D is its folder, with pix3d.json, img, mask and model. Each image becomes a shape with one view:
the object is cut out by its mask and framed like a rendering. Truncated and occluded objects are
left out, as in the evaluation of the paper. DIR/split.json (--split_file) has 80% of each
category's models for training and the rest for test, so that no model is in both; train and test
with --min_views=1 --max_views=1.

Axes: in Pix3D's voxels, x points to the left of a viewer in front of the object, y towards him and
z up. Here x points to the front, y up and z to that viewer's left: Pix3D's axes y, z, x. The
bounding box is then centered and its longest side spans the grid, as in ShapeNetVox32; a voxel is
occupied if any part of it is. rendering_metadata.txt has the azimuth and elevation of Pix3D's
camera, and a nominal distance, for the image is scaled.

This follows Pix3D's documentation and was tested with made-up files of that form. No result on
Pix3D has been compared with a published one. Pix3D's own evaluation, unlike test.py, also crops
each prediction to its bounding box, and chooses the threshold on the test images.
"""

import argparse
import json
import math
from collections import defaultdict
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.io import loadmat

from data.background import crop_to_object, with_alpha
from data.builder.build import UNFINISHED, add_build_flags, find_missing, write_files
from data.builder.names import category_folder, clean_name
from data.cameras import View
from data.layout import CATEGORIES
from data.photographs import object_mask, read_photograph
from utils.errors import InputError, Parser, check_ranges, explain, run
from utils.files import atomic_write, read_json, remove_stale
from utils.parallel import CRASHED, parallel_map

HIDDEN = ("truncated", "occluded", "slightly_occluded")
FIELDS = {"img", "mask", "voxel", "model", "category", "cam_position"}
NOMINAL_DISTANCE = 0.8  # the middle of the renderings' range


def read_list(root: Path, include_hidden: bool) -> dict[str, dict]:
    """Return the entries of pix3d.json by the "category/shape" that they become."""
    path = root / "pix3d.json"
    entries = {}
    for i, entry in enumerate(read_json(path)):
        if missing := FIELDS - entry.keys():
            raise InputError(f"{path}: entry {i}: expected {', '.join(sorted(missing))}")
        # The documentation says "true" or "false", the programs that read the list take booleans.
        if include_hidden or not any(entry.get(reason) in (True, "true") for reason in HIDDEN):
            shape = clean_name(PurePosixPath(entry["img"]).stem)
            name = f"{category_folder(entry['category'])}/{shape}"
            if name in entries:
                raise InputError(f"{path}: entry {i}: a second image {name}")
            entries[name] = entry
    if not entries:
        raise InputError(f"{path}: no image without truncation and occlusion")
    return entries


def convert(root: Path, out: Path, resolution: int, item: tuple[str, dict]) -> str | None:
    """Convert an entry; return why it cannot be used, or None."""
    name, entry = item
    try:
        image = read_photograph(_inside(root, entry["img"]))
        mask = object_mask(read_photograph(_inside(root, entry["mask"])), image.size)
        if mask.max() < 0.5:
            raise InputError(f"{entry['mask']}: empty")
        view = np.asarray(crop_to_object(with_alpha(image, mask)))
        voxels = read_voxels(_inside(root, entry["voxel"])).transpose(1, 2, 0)
        write_files(out, name, [view], [_camera(entry)], fit_grid(voxels, resolution))
    except (InputError, OSError) as error:
        return explain(error)
    return None


def _inside(root: Path, path: str) -> Path:
    """Return a path of the list; refuse one that leads out of the dataset."""
    full = (root / path).resolve()
    if not full.is_relative_to(root.resolve()):
        raise InputError(f"pix3d.json: expected paths in {root}, got {path!r}")
    return full


def _camera(entry: dict) -> View:
    """Return the camera's direction from its position in the frame of Pix3D's meshes.

    There x points to the left of a viewer in front of the object, y up, and z away from him.
    """
    left, up, away = entry["cam_position"]
    azimuth = math.degrees(math.atan2(left, -away)) % 360
    elevation = math.degrees(math.atan2(up, math.hypot(left, away)))
    return View(azimuth, elevation, NOMINAL_DISTANCE)


def read_voxels(path: Path) -> np.ndarray:
    """Read the cube `voxel` of a MATLAB file, (D, D, D) bool, in Pix3D's axes."""
    try:
        voxels = np.asarray(loadmat(path, variable_names=["voxel"])["voxel"]) > 0.5
    except Exception as error:  # a damaged file raises anything
        raise InputError(f"{path}: expected a MATLAB 5 file with 'voxel': {error}") from error
    if voxels.ndim != 3 or not voxels.any():
        raise InputError(f"{path}: voxel: expected a grid with occupied voxels")
    return voxels


def fit_grid(voxels: np.ndarray, resolution: int) -> np.ndarray:
    """Crop voxels (X, Y, Z) to their bounding box, and pool it to the center of a cube of D³.

    The longest side spans the cube; a voxel of it is occupied if one that it overlaps is.
    """
    indices = np.argwhere(voxels)
    low, high = indices.min(0), indices.max(0) + 1
    voxels = voxels[tuple(map(slice, low, high))]
    side = max(voxels.shape)
    margins = [((side - length) // 2, -(-(side - length) // 2)) for length in voxels.shape]
    voxels = np.pad(voxels, margins)
    edges = np.arange(resolution + 1) * side
    starts, ends = edges[:-1] // resolution, -(-edges[1:] // resolution)
    for axis in range(3):
        slabs = [
            voxels.take(range(a, b), axis).any(axis) for a, b in zip(starts, ends, strict=True)
        ]
        voxels = np.stack(slabs, axis)
    return voxels


def write_split(path: Path, entries: dict[str, dict]) -> None:
    """Write a split of the shapes in Pix2Vox's form; the images of a model stay together."""
    models = defaultdict(lambda: defaultdict(list))
    for name, entry in sorted(entries.items()):
        category, _, shape = name.partition("/")
        models[category][entry["model"]].append(shape)
    content = []
    for category, shapes_of in models.items():
        shapes = [shapes_of[model] for model in sorted(shapes_of)]
        end = int(0.8 * len(shapes))
        splits = {"train": list(chain(*shapes[:end])), "test": list(chain(*shapes[end:]))}
        taxonomy = {"taxonomy_id": category, "taxonomy_name": CATEGORIES.get(category, category)}
        content.append(taxonomy | splits)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), "utf-8")


def main() -> int:
    """Run the command. Returns status 1 when no image can be used."""
    parser = Parser(
        prog="python -m data.builder.pix3d",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", type=Path, metavar="PIX3D", help="folder with pix3d.json")
    parser.add_argument("--out", required=True, type=Path, help="folder of the new dataset")
    parser.add_argument("--all", action="store_true", help="truncated and occluded objects too")
    add_build_flags(parser)
    args = parser.parse_args()
    check_ranges(args, processes=(1, 1024))
    entries = read_list(args.dataset, args.all)
    remove_stale(args.out, f"{UNFINISHED}*")
    items = [(name, entries[name]) for name in find_missing(args.out, entries, args.resolution)]
    job = partial(convert, args.dataset, args.out, args.resolution)
    problems = parallel_map(job, items, "images", args.processes, CRASHED)
    used = dict(entries)
    for (name, _), problem in zip(items, problems, strict=True):
        if problem is not None:
            print(f"{name}: {problem}")
            del used[name]
    if used:
        write_split(args.out / "split.json", used)
    print(f"{len(used)} of {len(entries)} images are in {args.out}")
    return int(not used)


if __name__ == "__main__":
    run(main)

"""Write one shape's views and voxels in ShapeNet's layout."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from data.binvox import read_binvox, write_binvox
from data.builder.mesh import Mesh, normalize
from data.builder.render import render
from data.builder.voxelize import voxelize
from data.cameras import View, sample_views, write_views
from data.layout import NUM_VIEWS, RENDERINGS, RESOLUTION, VOXELS
from utils.errors import InputError

UNFINISHED = ".making-"  # prefix of the folders of shapes in progress


def is_finished(root: Path, name: str) -> bool:
    """Return whether the shape "category/shape" has both views and voxels."""
    return all((root / tree / name).is_dir() for tree in (RENDERINGS, VOXELS))


def find_missing(root: Path, names: Iterable[str], resolution: int) -> list[str]:
    """Return the shapes that are not finished, and print how many are kept.

    Raises InputError if the first shape in root has another resolution.
    """
    path = next((root / VOXELS).glob("*/*/model.binvox"), None)
    if path and (found := len(read_binvox(path))) != resolution:
        raise InputError(
            f"--resolution: expected {found}, that of the shapes in {root}, got {resolution}"
        )
    finished = {name: is_finished(root, name) for name in names}
    if num_finished := sum(finished.values()):
        print(f"{root}: keeping {num_finished} shapes that are there already")
    return [name for name in finished if not finished[name]]


def write_shape(
    root: Path,
    name: str,
    mesh: Mesh,
    rng: np.random.Generator,
    num_views: int = NUM_VIEWS,
    resolution: int = RESOLUTION,
) -> None:
    """Render and voxelize a mesh, and write both as `write_files` does.

    Its y is up and its front towards +x, at any size and position; `rng` samples the cameras.
    """
    mesh = normalize(mesh)
    views = sample_views(num_views, rng)
    images = render(mesh, views)
    voxels = voxelize(mesh, resolution)
    lower, upper = mesh.bounds
    corner = tuple(float(f"{value:.6g}") for value in lower)  # six digits, as in official files
    side = float(f"{max(upper - lower):.6g}")
    write_files(root, name, images, views, voxels, (corner, side))


def write_files(
    root: Path, name: str, images, views: list[View], voxels: np.ndarray, frame=((0, 0, 0), 1.0)
) -> None:
    """Write the files of a shape "category/shape"; it appears whole or not at all.

    Args:
        images: V arrays (137, 137, 4) uint8.
        voxels: (D, D, D) bool, axes x, y, z.
        frame: Lower corner and side of the grid in the shape's units.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=root) as folder:
        rendering_dir = Path(folder, "views", "rendering")
        rendering_dir.mkdir(parents=True)
        file_names = [f"{i:02d}.png" for i in range(len(views))]
        for file_name, image in zip(file_names, images, strict=True):
            Image.fromarray(image).save(rendering_dir / file_name)
        write_views(rendering_dir / "rendering_metadata.txt", views)
        listing = "".join(f"{file_name}\n" for file_name in file_names)
        (rendering_dir / "renderings.txt").write_text(listing, "ascii", newline="\n")
        write_binvox(Path(folder, "voxels", "model.binvox"), voxels, *frame)
        if not is_finished(root, name):  # another run may have finished it
            _replace(rendering_dir.parent, root / RENDERINGS / name)
            _replace(Path(folder, "voxels"), root / VOXELS / name)


def _replace(source: Path, target: Path) -> None:
    """Move a folder over what an interrupted run may have left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(source, target)

"""One object of a dataset: from its surface to the files of ShapeNet's layout."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from data.binvox import write_binvox
from data.builder.mesh import Mesh, normalized
from data.builder.render import render
from data.builder.voxelize import voxelize
from data.cameras import sample_views, write_views
from data.layout import GRID, RENDERINGS, VIEWS, VOXELS

MAKING = ".making-"  # begins the names of folders for objects in progress


def is_finished(root: Path, synset: str, model: str) -> bool:
    """Whether an object is there, pictures and voxels."""
    return all((root / tree / synset / model).is_dir() for tree in (RENDERINGS, VOXELS))


def remove_stale_dirs(root: Path) -> None:
    """Remove what runs that were killed more than an hour ago left under root."""
    for folder in root.glob(f"{MAKING}*"):
        if time.time() - folder.stat().st_mtime > 3600:
            shutil.rmtree(folder, ignore_errors=True)


def write_shape(
    root: Path,
    synset: str,
    model: str,
    surface: Mesh,
    generator: np.random.Generator,
    views: int = VIEWS,
    grid: int = GRID,
) -> None:
    """Render and voxelize a surface, and write both under root.

    The surface's front is towards +x and y is up; its size and place do not matter. The cameras
    come from the generator. The object appears whole or not at all.
    """
    surface = normalized(surface)
    cameras = sample_views(views, generator)
    pictures = render(surface, cameras)
    occupied = voxelize(surface, grid)
    lower, upper = surface.bounds
    corner = tuple(float(f"{value:.6g}") for value in lower)  # the digits that binvox itself writes
    side = float(f"{max(upper - lower):.6g}")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=root) as folder:
        rendering, voxels = Path(folder, "pictures", "rendering"), Path(folder, "voxels")
        rendering.mkdir(parents=True)
        names = [f"{number:02d}.png" for number in range(views)]
        for name, picture in zip(names, pictures, strict=True):
            Image.fromarray(picture).save(rendering / name)
        write_views(rendering / "rendering_metadata.txt", cameras)
        (rendering / "renderings.txt").write_text("".join(f"{name}\n" for name in names))
        write_binvox(voxels / "model.binvox", occupied, corner, side)
        if not is_finished(root, synset, model):  # another run may have made it meanwhile
            _move(rendering.parent, root / RENDERINGS / synset / model)
            _move(voxels, root / VOXELS / synset / model)


def _move(folder: Path, place: Path) -> None:
    """Put a folder in place of what an interrupted run may have left there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    os.replace(folder, place)

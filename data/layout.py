"""The names of ShapeNet's rendering and voxel trees, which reading and making share.

ROOT/ShapeNetRendering/<category>/<model>/rendering/{00..23}.png, renderings.txt,
rendering_metadata.txt; ROOT/ShapeNetVox32/<category>/<model>/model.binvox.
"""

from pathlib import Path

RENDERINGS, VOXELS = "ShapeNetRendering", "ShapeNetVox32"
EXCLUDED = "exclude.txt"  # in ROOT: category/model a line, left out by the index
SIZE = 137  # pixels a side of a picture
VIEWS = 24
GRID = 32  # cells a side


def real_trees(root: str | Path) -> tuple[Path, Path]:
    """Where the renderings and the voxels really are; no link in them may lead out of there."""
    return Path(root, RENDERINGS).resolve(), Path(root, VOXELS).resolve()

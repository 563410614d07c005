"""The names of ShapeNet's rendering and voxel trees, which reading and making share.

ROOT/ShapeNetRendering/<category>/<model>/rendering/{00..23}.png, renderings.txt,
rendering_metadata.txt; ROOT/ShapeNetVox32/<category>/<model>/model.binvox.
"""

RENDERINGS, VOXELS = "ShapeNetRendering", "ShapeNetVox32"
EXCLUDED = "exclude.txt"  # in ROOT: category/model a line, left out by the index
SIZE = 137  # pixels a side of a picture
VIEWS = 24
GRID = 32  # cells a side

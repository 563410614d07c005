"""Procedural furniture: one function a category that samples a shape.

Each takes a NumPy generator and returns its parts, meshes in meters, y up, front towards +x.
"""

from data.builder.furniture.devices import display, speaker, telephone
from data.builder.furniture.furnishings import cabinet, lamp, table
from data.builder.furniture.seating import bench, chair, sofa

GENERATORS = {
    "chair": chair,
    "table": table,
    "sofa": sofa,
    "cabinet": cabinet,
    "lamp": lamp,
    "bench": bench,
    "display": display,
    "speaker": speaker,
    "telephone": telephone,
}

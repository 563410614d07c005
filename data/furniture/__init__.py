"""Procedural furniture: for each category, a function that draws one object's parts.

Each takes a NumPy generator and returns trimesh meshes with materials, in metres, y up, front
towards +x.
"""

from data.furniture.devices import display, speaker, telephone
from data.furniture.furnishings import cabinet, lamp, table
from data.furniture.seating import bench, chair, sofa

MAKERS = {
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

"""Procedural furniture: one function a category that samples a shape.

Each takes a NumPy generator and returns its parts, meshes in meters, y up, front towards +x.
"""

from data.builder.furniture.devices import display, speaker, telephone
from data.builder.furniture.furnishings import cabinet, lamp, table
from data.builder.furniture.seating import bench, chair, sofa

SAMPLERS = (chair, table, sofa, cabinet, lamp, bench, display, speaker, telephone)
GENERATORS = {sample.__name__: sample for sample in SAMPLERS}

"""Solid occupancy of a surface, closed or not, in the frame of ShapeNetVox32."""

import numpy as np

from data.builder.mesh import Mesh
from data.builder.render import Rays
from data.layout import GRID

FINEST = 256  # fine cells a side of the grid, and at most 4 a side of a cell
NUDGE = 1e-3  # fine cells; what lies on the border of two cells belongs to the one behind it


def voxelize(surface: Mesh, grid: int = GRID) -> np.ndarray:
    """The cells (grid, grid, grid) that a surface touches or encloses, as booleans (X, Y, Z).

    The bounding box is centered in the grid and its longest side spans it. Rays carve away what can
    be seen from one of the six sides, as binvox does, so that a surface with holes is still filled.
    """
    fine = min(max(FINEST // grid, 1), 4)
    count = grid * fine
    side = np.ptp(surface.bounds, axis=0).max()
    # Coordinates in fine cells, 0 to count.
    triangles = (surface.triangles - surface.bounds.mean(0)) * (count / side) + count / 2
    rays = Rays(triangles)
    solid = np.ones((count,) * 3, bool)
    touched = np.zeros((count,) * 3, bool)
    for axis in range(3):
        for forward in (True, False):
            _carve(rays, axis, forward, solid, touched)
    cells = (solid | touched).reshape(grid, fine, grid, fine, grid, fine).any(axis=(1, 3, 5))
    for few in np.array_split(triangles / fine, 1 + len(triangles) * grid // 10**6):
        cells[tuple(_edge_cells(few, grid).T)] = True
    return cells


def _carve(rays: Rays, axis: int, forward: bool, solid: np.ndarray, touched: np.ndarray) -> None:
    """Empty the fine cells before the first hit along an axis, and note those that are hit."""
    solid, touched = (np.moveaxis(cells, axis, 2) for cells in (solid, touched))
    if not forward:
        solid, touched = solid[..., ::-1], touched[..., ::-1]
    count = len(solid)
    across = np.stack(np.mgrid[:count, :count], axis=-1).reshape(-1, 2) + 0.5
    origins = np.insert(across, axis, -1 if forward else count + 1, axis=1)
    directions = np.zeros_like(origins)
    directions[:, axis] = 1 if forward else -1
    hits = rays.cast(origins, directions)
    hit = hits["primID"] >= 0
    depth = np.where(hit, hits["tfar"] - 1 + NUDGE, count).reshape(count, count)
    solid &= np.arange(count) >= np.floor(depth)[..., None]
    row, column = np.nonzero(hit.reshape(count, count))
    touched[row, column, np.clip(depth[row, column].astype(int), 0, count - 1)] = True


def _edge_cells(triangles: np.ndarray, grid: int) -> np.ndarray:
    """The cells (N, 3) that the edges of triangles pass, for parts too thin for the rays.

    The triangles are in cells. Points on the border of two cells are left out, as one cannot
    know which cell is meant.
    """
    starts = triangles.reshape(-1, 3)
    steps = (np.roll(triangles, -1, axis=1) - triangles).reshape(-1, 3)
    counts = np.ceil(np.linalg.norm(steps, axis=1) * 2).astype(int)  # half a cell apart
    edge = np.repeat(np.arange(len(counts)), counts)
    part = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    points = starts[edge] + steps[edge] * ((part + 0.5) / counts[edge])[:, None]
    inside = (np.abs(points - np.rint(points)) > NUDGE).all(axis=1)
    return np.clip(points[inside].astype(int), 0, grid - 1)

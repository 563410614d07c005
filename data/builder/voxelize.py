"""Solid voxels of a mesh, closed or not, in the frame of ShapeNetVox32."""

import numpy as np

from data.builder.mesh import Mesh
from data.builder.render import Rays
from data.layout import RESOLUTION

MAX_FINE_RESOLUTION = 256  # the carved grid has at most 4 fine voxels a voxel side
TOLERANCE = 1e-3  # fine voxels; a surface between two voxels belongs to the one behind it


def voxelize(mesh: Mesh, resolution: int = RESOLUTION) -> np.ndarray:
    """Return the voxels that a mesh touches or encloses, (D, D, D) bool, axes x, y, z.

    The bounding box is centered in the grid and its longest side spans it. As in binvox, rays from
    six sides carve away what they pass, so that a mesh with holes is filled all the same.
    """
    factor = min(max(MAX_FINE_RESOLUTION // resolution, 1), 4)
    fine = resolution * factor
    side = np.ptp(mesh.bounds, axis=0).max()
    triangles = (mesh.triangles - mesh.bounds.mean(0)) * (fine / side) + fine / 2  # in [0, fine]
    rays = Rays(triangles)
    solid = np.ones((fine,) * 3, bool)
    touched = np.zeros((fine,) * 3, bool)
    for axis in range(3):
        for forward in (True, False):
            _carve(rays, axis, forward, solid, touched)
    blocks = (solid | touched).reshape((resolution, factor) * 3)
    voxels = blocks.any(axis=(1, 3, 5))
    num_chunks = 1 + len(triangles) * resolution // 10**6  # bounds the memory of the points
    for chunk in np.array_split(triangles / factor, num_chunks):
        voxels[tuple(_edge_voxels(chunk, resolution).T)] = True
    return voxels


def _carve(rays: Rays, axis: int, forward: bool, solid: np.ndarray, touched: np.ndarray) -> None:
    """Empty the fine voxels in front of the first hit along an axis, and mark those hit."""
    fine = len(solid)
    centers = np.stack(np.mgrid[:fine, :fine], axis=-1).reshape(-1, 2) + 0.5
    origins = np.insert(centers, axis, -1 if forward else fine + 1, axis=1)
    directions = np.zeros_like(origins)
    directions[:, axis] = 1 if forward else -1
    hits = rays.cast(origins, directions)
    depth = np.clip(hits["tfar"] - 1 + TOLERANCE, 0, fine - 1)
    depth = np.where(hits["primID"] >= 0, depth, fine)  # no layer where nothing is hit
    depth = np.expand_dims(depth.astype(np.int16).reshape(fine, fine), axis)
    layers = np.arange(fine, dtype=np.int16)
    other_axes = [i for i in range(3) if i != axis]
    layers = np.expand_dims(layers if forward else layers[::-1], other_axes)
    solid &= layers >= depth
    touched |= layers == depth


def _edge_voxels(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """Return the voxels (N, 3) along the triangles' edges, for parts too thin for the rays.

    The triangles are in voxels. Points on the border of two voxels are ambiguous and left out.
    """
    starts = triangles.reshape(-1, 3)
    steps = (np.roll(triangles, -1, axis=1) - triangles).reshape(-1, 3)
    num_points = np.ceil(np.linalg.norm(steps, axis=1) * 2).astype(int)  # half a voxel apart
    edge = np.repeat(np.arange(len(num_points)), num_points)
    i = np.arange(len(edge)) - np.repeat(np.cumsum(num_points) - num_points, num_points)
    points = starts[edge] + steps[edge] * ((i + 0.5) / num_points[edge])[:, None]
    inside = (np.abs(points - np.rint(points)) > TOLERANCE).all(axis=1)
    return np.clip(points[inside].astype(int), 0, resolution - 1)

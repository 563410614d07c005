"""Triangulation of polygons: concave, not planar, with corners that coincide."""

import mapbox_earcut
import numpy as np

from utils.errors import InputError


def corner_points(vertices: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the vertices (C, 3) at corners, indices (C,).

    Raises InputError for a negative index, which NumPy would count from the end.
    """
    if corners.min(initial=0) < 0:
        raise InputError(f"expected indices of vertices, got {corners.min()}")
    return vertices[corners]


def triangulate(points: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split polygons into triangles that keep their orientation.

    Args:
        points: Corners (C, 3) of all polygons, one after another.
        sizes: Number of corners (P,) of each polygon; fewer than 3 give no triangle.

    Returns:
        Corners (T, 3) of the triangles as indices in `points`, and their polygons (T,), in order.
    """
    sizes = np.asarray(sizes, int)
    starts = np.cumsum(sizes) - sizes
    triangles, polygons = [np.zeros((0, 3), int)], [np.zeros(0, int)]
    for size in np.unique(sizes[sizes >= 3]):
        which = np.flatnonzero(sizes == size)
        corners = starts[which, None] + np.arange(size)  # (P, size)
        second = np.arange(1, size - 1)
        fan = np.stack([np.zeros_like(second), second, second + 1], axis=1)
        split = np.tile(fan, (len(which), 1, 1))  # (P, size - 2, 3)
        if size > 3:
            for i in np.flatnonzero(~_is_fan(points[corners])):
                split[i] = _ears(points[corners[i]])
        triangles.append(np.take_along_axis(corners[:, None], split, 2).reshape(-1, 3))
        polygons.append(np.repeat(which, size - 2))
    triangles, polygons = np.concatenate(triangles), np.concatenate(polygons)
    order = np.argsort(polygons, kind="stable")
    return triangles[order], polygons[order]


def strip_triangles(strip: np.ndarray) -> np.ndarray:
    """Return the triangles (N - 2, 3) of a strip of vertices (N,), every other one flipped."""
    triangles = np.stack([strip[:-2], strip[1:-1], strip[2:]], axis=1)
    triangles[1::2] = triangles[1::2, [1, 0, 2]]
    return triangles


def _is_fan(polygons: np.ndarray) -> np.ndarray:
    """Return whether polygons (P, N, 3) are the union of the triangles at their first corner."""
    spokes = polygons[:, 1:] - polygons[:, :1]
    areas = np.cross(spokes[:, :-1], spokes[:, 1:])  # (P, N - 2, 3)
    normals = areas.sum(1, keepdims=True)  # Newell's normal
    signed = (areas * normals).sum(2)
    return (signed >= -1e-9 * np.abs(signed).max(1, keepdims=True)).all(1)


def _ears(points: np.ndarray) -> np.ndarray:
    """Triangulate a polygon (N, 3) by ear clipping, (N - 2, 3); repeats corner 0 if degenerate."""
    spokes = points[1:] - points[0]
    normal = np.cross(spokes[:-1], spokes[1:]).sum(0)
    axis = np.abs(normal).argmax()
    plane = points[:, [(axis + 1) % 3, (axis + 2) % 3]]  # seen along the normal's main axis
    ears = np.zeros((len(points) - 2, 3), int)
    found = mapbox_earcut.triangulate_float64(
        np.ascontiguousarray(plane, float), np.array([len(points)], np.uint32)
    ).reshape(-1, 3)[: len(ears)]
    a, b, c = plane[found].transpose(1, 0, 2)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    flipped = area * normal[axis] < 0
    ears[: len(found)] = np.where(flipped[:, None], found[:, ::-1], found)
    return ears

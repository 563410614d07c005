"""Triangulation of polygons: concave, not planar, with corners that coincide."""

import mapbox_earcut
import numpy as np

from utils.errors import InputError

MAX_FACES = 600_000  # take a gigabyte of memory


def check_num_faces(num_faces: int) -> None:
    """Raise InputError for a mesh of too many triangles."""
    if num_faces > MAX_FACES:
        raise InputError(f"expected at most {MAX_FACES} triangles, got {num_faces}")


def check_corners(corners: np.ndarray, num_vertices: int) -> None:
    """Raise InputError for a corner that is the index of no vertex."""
    if len(corners) and not 0 <= corners.min() <= corners.max() < num_vertices:
        raise InputError(f"expected vertices below {num_vertices}, got {corners.max()}")


def triangulate(points: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split polygons into triangles that keep their orientation.

    Args:
        points: Corners (C, 3) of all polygons, one after another.
        sizes: Number of corners (P,) of each polygon; fewer than 3 give no triangle.

    Returns:
        Corners (T, 3) of the triangles as indices in `points`, and their polygons (T,), in order.
    """
    sizes = np.asarray(sizes, int)
    check_num_faces(int(np.maximum(sizes - 2, 0).sum()))
    starts = np.cumsum(sizes) - sizes
    triangles, polygons = [np.zeros((0, 3), int)], [np.zeros(0, int)]
    for size in np.unique(sizes[sizes >= 3]):
        which = np.flatnonzero(sizes == size)
        corners = starts[which, None] + np.arange(size)  # (P, size)
        fan = np.stack([np.zeros(size - 2, int), *(np.arange(size - 2) + i for i in (1, 2))], 1)
        split = np.broadcast_to(fan, (len(which), size - 2, 3)).copy()
        owner = np.repeat(which, size - 2)
        if size > 3:
            for i in np.flatnonzero(~_is_fan(points[corners])):
                split[i] = _ears(points[corners[i]])
        triangles.append(np.take_along_axis(corners[:, None], split, 2).reshape(-1, 3))
        polygons.append(owner)
    triangles, polygons = np.concatenate(triangles), np.concatenate(polygons)
    order = np.argsort(polygons, kind="stable")
    return triangles[order], polygons[order]


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

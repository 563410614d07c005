"""The surface of voxels: as the cubes they are, or smooth."""

import numpy as np

CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])  # of a face, counter-clockwise


def exposed_faces(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The faces between an occupied cell and a free one.

    Returns corners (F, 4, 3), in cells and counter-clockwise seen from outside, and outward
    normals (F, 3).
    """
    padded = np.pad(np.asarray(occupied, bool), 1)
    corners, normals = [], []
    for axis in range(3):
        u, v = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
        for direction in (-1, 1):
            free_beside = ~np.roll(padded, -direction, axis)[1:-1, 1:-1, 1:-1]
            cells = np.argwhere(padded[1:-1, 1:-1, 1:-1] & free_beside)
            normal = direction * np.eye(3, dtype=int)[axis]
            start = cells + np.maximum(normal, 0)
            loop = CORNERS @ np.stack([u, v] if direction > 0 else [v, u])
            corners.append(start[:, None] + loop)
            normals.append(np.broadcast_to(normal, cells.shape))
    return np.concatenate(corners), np.concatenate(normals)


def voxels_to_mesh(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The surface of occupied cells (D, D, D) as triangles, each edge with exactly two of them.

    Returns vertices (N, 3) in [-0.5, 0.5]³ and faces (M, 3), counter-clockwise seen from outside.
    Where two cells touch along nothing but an edge, four squares meet. Each cell's two get a vertex
    of their own on it, at a quarter of the edge's length from one end or from the other: no point
    moves, and the volume is that of the cells.
    """
    corners, normals = exposed_faces(occupied)
    following = np.roll(corners, -1, axis=1)
    middles = corners + following  # (F, 4, 3), twice the middle of each edge
    _, edge, uses = np.unique(
        middles.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    shared = (uses[edge] == 4).reshape(middles.shape[:2])
    direction = np.abs(following - corners)
    cell = corners.mean(1) - normals / 2  # (F, 3), its middle
    first = np.argmax(direction == 0, axis=-1)[..., None]  # an axis across the edge
    across = np.take_along_axis(cell[:, None] - middles / 2, first, -1) > 0  # of the two cells
    extra = middles / 2 + np.where(across, 0.25, -0.25) * direction

    plain = ~shared.any(1)
    triangles = [corners[plain][:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)]
    for face in np.flatnonzero(~plain):  # as a fan around the middle of the square
        rim = [corners[face, :1]]
        for side in range(4):
            rim += [extra[face, side : side + 1]] if shared[face, side] else []
            rim += [following[face, side : side + 1]]
        rim = np.concatenate(rim)
        middle = np.broadcast_to(corners[face].mean(0), rim[1:].shape)
        triangles.append(np.stack([middle, rim[:-1], rim[1:]], axis=1))
    points = np.concatenate(triangles).reshape(-1, 3)
    vertices, faces = np.unique(points, axis=0, return_inverse=True)
    return vertices / max(occupied.shape) - 0.5, faces.reshape(-1, 3)


def marching_cubes(probability: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The surface at `threshold` in a grid of probabilities (D, D, D), by marching cubes.

    A probability holds at the middle of its cell, and is zero outside the grid, so that the surface
    is closed. Returns vertices and faces as `voxels_to_mesh` does.
    """
    from skimage import measure  # only smooth surfaces need scikit-image

    if not (probability >= threshold).any():
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    padded = np.pad(probability, 1)
    vertices, faces, _, _ = measure.marching_cubes(padded, threshold, allow_degenerate=False)
    return (vertices - 0.5) / max(probability.shape) - 0.5, faces[:, ::-1]

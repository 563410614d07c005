"""Voxels to meshes, and both to files for other programs.

The grid is the cube [-0.5, 0.5]³, y up and the front towards +x, as in the dataset.
"""

import re
from pathlib import Path

import numpy as np

from utils.errors import InputError
from utils.files import atomic_write, read_bytes

SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])  # corners, counter-clockwise
MESH_SUFFIXES = (".obj", ".ply", ".glb", ".stl")
SUFFIXES = (*MESH_SUFFIXES, ".binvox", ".npy")  # of `save_prediction`
# The axes that a format's readers expect, and the rotation from those of the grid.
GRID_AXES = "y up, front +x", np.eye(3)
FORMAT_AXES = {
    ".glb": ("y up, front +z", np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])),  # glTF 2.0, 3.4
    ".stl": ("z up, front -y", np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]])),  # of slicers
}


def exposed_faces(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the faces between an occupied and an empty voxel.

    Args:
        occupied (ndarray): (D, D, D) bool, axes x, y, z.

    Returns:
        tuple: Corners (F, 4, 3) in voxels, counter-clockwise seen from outside, and outward
            normals (F, 3), both int.
    """
    _check_bool(occupied)
    padded = np.pad(occupied, 1)
    corners, normals = [], []
    for axis in range(3):
        u, v = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
        for direction in (-1, 1):
            empty_beside = ~np.roll(padded, -direction, axis)[1:-1, 1:-1, 1:-1]
            voxels = np.argwhere(padded[1:-1, 1:-1, 1:-1] & empty_beside)
            normal = direction * np.eye(3, dtype=int)[axis]
            loop = SQUARE @ np.stack([u, v] if direction > 0 else [v, u])
            corners.append((voxels + np.maximum(normal, 0))[:, None] + loop)
            normals.append(np.broadcast_to(normal, voxels.shape))
    return np.concatenate(corners), np.concatenate(normals)


def _check_bool(occupied: np.ndarray) -> None:
    if occupied.dtype != bool:  # taken as occupied where not 0, probabilities are a full cube
        raise ValueError(f"expected voxels of bool, as probs >= 0.4, got {occupied.dtype}")


def voxels_to_mesh(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangulate the surface of voxels, as cubes; every edge has exactly two triangles.

    Where two voxels touch along nothing but an edge, four squares meet. Each voxel's two squares
    then get their own vertex on the edge, a quarter of its length from one end or from the other:
    the surface stays where it is, and its volume is that of the voxels.

    Args:
        occupied (ndarray): (D, D, D) bool, axes x, y, z.

    Returns:
        tuple: Vertices (N, 3) float64 in [-0.5, 0.5] and faces (M, 3) int, counter-clockwise seen
            from outside.

    Raises:
        ValueError: If `occupied` is not bool.
    """
    corners, normals = exposed_faces(occupied)
    following = np.roll(corners, -1, axis=1)
    middles = corners + following  # (F, 4, 3), twice the midpoint of each edge
    _, edge, uses = np.unique(_row_ids(middles), return_inverse=True, return_counts=True)
    shared = (uses[edge] == 4).reshape(middles.shape[:2])
    direction = np.abs(following - corners)
    voxel = corners.mean(1) - normals / 2  # (F, 3), its center
    across = np.argmax(direction == 0, axis=-1)[..., None]  # an axis perpendicular to the edge
    beyond = np.take_along_axis(voxel[:, None] - middles / 2, across, -1) > 0
    extra = middles / 2 + np.where(beyond, 0.25, -0.25) * direction

    plain = ~shared.any(1)
    squares = corners[plain][:, [[0, 1, 2], [0, 2, 3]]]  # two triangles each
    rim = np.stack([corners, np.where(shared[..., None], extra, following)], axis=2)
    rim = rim[~plain].reshape(-1, 8, 3)  # a corner twice where an edge is not shared
    after = np.roll(rim, -1, axis=1)
    center = np.broadcast_to(corners[~plain].mean(1, keepdims=True), rim.shape)
    fans = np.stack([center, rim, after], axis=2)[(rim != after).any(-1)]
    points = np.concatenate([squares.reshape(-1, 3), fans.reshape(-1, 3)])  # multiples of 1/4
    ids = _row_ids((4 * points).astype(int))
    _, first, faces = np.unique(ids, return_index=True, return_inverse=True)
    return points[first] / max(occupied.shape) - 0.5, faces.reshape(-1, 3)


def _row_ids(points: np.ndarray) -> np.ndarray:
    """Number points (..., 3) of non-negative integers in their lexicographic order, (N,).

    `np.unique` sorts numbers 20 times faster than rows.
    """
    return np.ravel_multi_index(points.reshape(-1, 3).T, [points.max(initial=0) + 1] * 3)


def marching_cubes(probs: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Extract the smooth surface where the probability is `threshold`.

    A probability, of (D, D, D) float in [0, 1], holds at the center of its voxel and is zero
    outside the grid, so the surface is closed. Vertices and faces are as of `voxels_to_mesh`.
    """
    from skimage import measure  # a slow import that nothing else needs

    if not (probs >= threshold).any():
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    padded = np.pad(probs, 1)
    level = min(threshold, np.nextafter(padded.max(), 0))  # at the maximum there is no surface
    vertices, faces, _, _ = measure.marching_cubes(padded, level, allow_degenerate=False)
    return (vertices - 0.5) / max(probs.shape) - 0.5, faces[:, ::-1]


def save_mesh(
    path: str | Path, vertices: np.ndarray, faces: np.ndarray, smooth: bool = False
) -> None:
    """Write a mesh in the format of the path's suffix, with its axes (`axes_of`).

    Args:
        path: File to write, one of MESH_SUFFIXES.
        vertices: (N, 3) float, y up and the front towards +x.
        faces: (M, 3) int.
        smooth: Write normals for smooth shading, in `.glb`. Faces are flat without.
    """
    check_output(path, mesh=True)
    suffix = Path(path).suffix.lower()
    if suffix == ".obj":
        lines = [f"# 3D-R2N2 reconstruction: {axes_of(path)}\n"]
        lines += [f"v {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in vertices.tolist()]
        lines += [f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist()]
        content = "".join(lines).encode()
    else:
        _, rotation = FORMAT_AXES.get(suffix, GRID_AXES)
        content = _encode_mesh(suffix, vertices @ rotation.T, faces, smooth)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _encode_mesh(suffix: str, vertices: np.ndarray, faces: np.ndarray, smooth: bool) -> bytes:
    from trimesh import Trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    mesh = Trimesh(vertices, faces, process=False)
    if suffix != ".glb":
        return mesh.export(file_type=suffix[1:])
    gray = [153, 153, 153, 255]  # linear: a light gray on the screen
    mesh.visual = TextureVisuals(
        material=PBRMaterial(
            baseColorFactor=gray, metallicFactor=0, roughnessFactor=1, doubleSided=True
        )
    )
    return mesh.export(file_type="glb", include_normals=smooth)


def axes_of(path: str | Path) -> str:
    """Return the axes of a prediction that is written to the path, such as "y up, front +x"."""
    return FORMAT_AXES.get(Path(path).suffix.lower(), GRID_AXES)[0]


def save_prediction(
    path: str | Path, probs: np.ndarray, threshold: float, smooth: bool = False
) -> None:
    """Write a prediction, (D, D, D) float in [0, 1], in the format of the path's suffix.

    That is a mesh of cubes, or by marching cubes if `smooth`; `.binvox`, the voxels of at least
    `threshold`; or `.npy`, the probabilities.
    """
    check_output(path, mesh=smooth)
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.save(file, probs)
    elif suffix == ".binvox":
        write_binvox(path, probs >= threshold)
    else:
        surface = marching_cubes(probs, threshold) if smooth else voxels_to_mesh(probs >= threshold)
        save_mesh(path, *surface, smooth)


def check_output(path: str | Path, *, mesh: bool = False) -> None:
    """Raise InputError unless a prediction can be written to the path, or just a mesh."""
    suffixes = MESH_SUFFIXES if mesh else SUFFIXES
    if Path(path).suffix.lower() not in suffixes:
        raise InputError(f"output: expected a file ending in {', '.join(suffixes)}, got {path}")


HEADER = re.compile(rb"#binvox.*\n(?:.*\n)*?dim +(\d+) +(\d+) +(\d+) *\n(?:.*\n)*?data\n")


def read_binvox(path: str | Path) -> np.ndarray:
    """Read a binvox file.

    Returns the occupancy (D, D, D) bool, axes x, y, z. Raises InputError for a file that is
    damaged or not a cube.
    """
    content = read_bytes(path)
    header = HEADER.match(content)
    if header is None:
        expected = "a header of lines '#binvox', 'dim' with three numbers, and 'data'"
        raise InputError(f"{path}: expected {expected}, got {content[:40]!r}")
    shape = tuple(map(int, header.groups()))
    resolution = shape[0]
    if len(set(shape)) > 1 or not resolution:
        raise InputError(f"{path}: expected a cube, got {'x'.join(map(str, shape))} voxels")
    runs = np.frombuffer(content, np.uint8, offset=header.end())
    values, lengths = runs[:-1:2], runs[1::2]
    num_voxels = int(lengths.sum(dtype=np.int64))
    if num_voxels != resolution**3:
        raise InputError(f"{path}: expected {resolution**3} voxels, got {num_voxels}")
    voxels = np.repeat(values.astype(bool), lengths).reshape(shape)  # x, z, y
    return np.ascontiguousarray(voxels.transpose(0, 2, 1))


def write_binvox(path: str | Path, voxels: np.ndarray, translate=(0, 0, 0), scale=1.0) -> None:
    """Write voxels as a binvox file.

    Args:
        path: File to write.
        voxels: Occupancy (D, D, D) bool, axes x, y, z.
        translate: Position (3,) of the grid's lower corner in the shape's units.
        scale: Length of the grid's side in the shape's units.
    """
    _check_bool(voxels)
    flat = voxels.transpose(0, 2, 1).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    num_runs = -(-lengths // 255)  # a length is one byte: longer runs are split
    split_lengths = np.full(num_runs.sum(), 255, np.uint8)
    split_lengths[np.cumsum(num_runs) - 1] = lengths - 255 * (num_runs - 1)
    runs = np.stack([np.repeat(flat[starts], num_runs).astype(np.uint8), split_lengths], axis=1)
    header = (
        f"#binvox 1\ndim {' '.join(map(str, voxels.shape))}\n"
        f"translate {' '.join(f'{value:.9g}' for value in translate)}\nscale {scale:.9g}\ndata\n"
    )
    with atomic_write(path) as temporary:
        temporary.write_bytes(header.encode() + runs.tobytes())

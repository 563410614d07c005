"""Voxels as files for other programs."""

from pathlib import Path

import numpy as np

from data.binvox import write_binvox
from utils.errors import UserError
from utils.files import replacing

FORMS = (".obj", ".binvox", ".npy")


def save_prediction(path: str | Path, probability: np.ndarray, threshold: float) -> str:
    """Write a prediction (X, Y, Z) in the form of the path's ending, and say what was written.

    `.obj` holds the surface of the cells at `probability >= threshold`, `.binvox` those cells, and
    `.npy` the probabilities.
    """
    check_form(path)
    occupied, form = probability >= threshold, Path(path).suffix.lower()
    if form == ".npy":
        with replacing(path) as temporary:
            np.save(temporary, probability)
        return f"probabilities {probability.shape}"
    if form == ".binvox":
        write_binvox(path, occupied)
    else:
        write_obj(path, occupied)
    return f"{int(occupied.sum())} occupied voxels"


def check_form(path: str | Path) -> None:
    """Raise UserError when a prediction can't be written in the form of the path's ending."""
    if Path(path).suffix.lower() not in FORMS:
        raise UserError(f"output: expected a file ending in {', '.join(FORMS)}, found {path}")


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
            loop = (0 * u, u, u + v, v) if direction > 0 else (0 * u, v, u + v, u)
            corners.append(start[:, None] + np.array(loop))
            normals.append(np.broadcast_to(normal, cells.shape))
    return np.concatenate(corners), np.concatenate(normals)


def write_obj(path: str | Path, occupied: np.ndarray) -> None:
    """Write the surface of occupied cells as a Wavefront OBJ of squares.

    The grid is the cube [-0.5, 0.5]³, y up, as in the dataset.
    """
    corners, _ = exposed_faces(occupied)
    vertices, numbers = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    places = vertices / max(occupied.shape) - 0.5
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write("# 3D-R2N2 reconstruction: y up, front towards +x\n")
        file.writelines(f"v {x:.6g} {y:.6g} {z:.6g}\n" for x, y, z in places.tolist())
        faces = (numbers.reshape(-1, 4) + 1).tolist()
        file.writelines(f"f {a} {b} {c} {d}\n" for a, b, c, d in faces)

"""Voxels as files for other programs."""

from pathlib import Path

import numpy as np

from data.binvox import write_binvox
from utils.errors import InputError
from utils.files import atomic_write
from utils.surface import marching_cubes, voxels_to_mesh

SURFACES = (".obj", ".ply", ".glb", ".stl")
FORMS = (*SURFACES, ".binvox", ".npy")


def save_prediction(
    path: str | Path, probability: np.ndarray, threshold: float, smoothed: bool = False
) -> str:
    """Write a prediction (X, Y, Z) in the form of the path's ending, and say what was written.

    `.obj`, `.ply`, `.glb` and `.stl` hold the surface of the cells at `probability >= threshold`,
    as cubes or `smoothed`; `.binvox` holds those cells, and `.npy` the probabilities.
    """
    check_form(path, smoothed)
    occupied, form = probability >= threshold, Path(path).suffix.lower()
    if form == ".npy":
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.save(file, probability)
        return f"probabilities {probability.shape}"
    if form == ".binvox":
        write_binvox(path, occupied)
    else:
        save_mesh(
            path,
            *(marching_cubes(probability, threshold) if smoothed else voxels_to_mesh(occupied)),
        )
    return f"{int(occupied.sum())} occupied voxels"


def check_form(path: str | Path, smoothed: bool = False) -> None:
    """Raise InputError when a prediction can't be written in the form of the path's ending."""
    forms = SURFACES if smoothed else FORMS
    if Path(path).suffix.lower() not in forms:
        reason = " (smooth)" if smoothed else ""
        raise InputError(
            f"output: expected a file ending in {', '.join(forms)}{reason}, found {path}"
        )


def save_mesh(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write triangles as `.obj`, `.ply`, `.glb` or `.stl`.

    The grid is the cube [-0.5, 0.5]³, y up and the front towards +x, as in the dataset. A surface
    without faces gives a file without faces.
    """
    form = Path(path).suffix.lower()[1:]
    if form == "obj":
        content = _wavefront(vertices, faces)
    else:
        from trimesh import Trimesh  # only these three forms need it

        content = Trimesh(vertices, faces, process=False).export(file_type=form)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _wavefront(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    lines = ["# 3D-R2N2 reconstruction: y up, front towards +x\n"]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in vertices.tolist()]
    lines += [f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist()]
    return "".join(lines).encode()

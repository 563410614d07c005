"""The cameras of 3D-R2N2's renderings: where a picture was taken from.

An object's bounding box has its centre at the origin, y up, its front towards +x, and a diagonal
of 1. Every camera looks at the origin with +y up. The numbers were recovered from the official
files, and reproduce their silhouettes.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.errors import InputError
from utils.files import atomic_write, read_text

LARGEST_METADATA = 2**20  # bytes; a view takes about 60
FARTHEST = 1.75  # distance from the origin at distance_ratio 1, in bounding-box diagonals
FOCAL = 35 / 32  # focal length in widths of the picture: a 35 mm lens before a 32 mm sensor
NOMINAL_FOV = 25  # what the last column of the official metadata says; the true angle is 49.1


class View(NamedTuple):
    """One camera: angles in degrees, distance_ratio in units of 1.75 diagonals."""

    azimuth: float
    elevation: float
    distance_ratio: float


def sample_views(count: int, generator: np.random.Generator) -> list[View]:
    """Draw views as 3D-R2N2 did.

    Azimuth is uniform in [0, 360), elevation in [25, 30] and distance_ratio in [0.65, 0.95].
    """
    draws = generator.uniform([0, 25, 0.65], [360, 30, 0.95], size=(count, 3))
    return [View(*draw) for draw in draws.tolist()]


def eye(view: View) -> np.ndarray:
    """The position (3,) of a camera."""
    azimuth, elevation = np.radians([view.azimuth, view.elevation])
    direction = [
        np.cos(elevation) * np.cos(azimuth),
        np.sin(elevation),
        np.cos(elevation) * np.sin(azimuth),
    ]
    return FARTHEST * view.distance_ratio * np.array(direction)


def axes(view: View) -> np.ndarray:
    """A camera's right, down and forward as the rows of a rotation (3, 3)."""
    forward = -eye(view) / np.linalg.norm(eye(view))
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def project(view: View, points: np.ndarray, width: int) -> np.ndarray:
    """Where points (..., 3) appear in a square picture of `width` pixels.

    Returns (..., 2): column and row in pixels, the upper left corner of the picture being (0, 0)
    and its centre (width / 2, width / 2).
    """
    seen = (np.asarray(points) - eye(view)) @ axes(view).T
    return width * (0.5 + FOCAL * seen[..., :2] / seen[..., 2:])


def directions(view: View, columns: np.ndarray, rows: np.ndarray, width: int) -> np.ndarray:
    """The rays (..., 3) from the eye through pixel positions, the inverse of `project`.

    `columns` and `rows` broadcast to the shape (...). A ray's component along the camera's axis is
    1, so that a distance along it is a depth. As float32, which Embree takes.
    """
    right, down, forward = axes(view).astype(np.float32)
    across, along = (np.float32(place / width - 0.5) / FOCAL for place in (columns, rows))
    return across[..., None] * right + (along[..., None] * down + forward)


def read_views(path: str | Path, within: Path | None = None) -> list[View]:
    """Read a `rendering_metadata.txt`: a line `azimuth elevation in-plane ratio fov` a view.

    Raises InputError for a line that is not five numbers, a picture that is turned in its plane,
    and a link out of the folder `within`.
    """
    views, lines = [], read_text(path, LARGEST_METADATA, within).splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            azimuth, elevation, in_plane, distance_ratio, _ = map(float, line.split())
        except ValueError:
            raise InputError(
                f"{path}:{number}: expected five numbers, found {line[:60]!r}"
            ) from None
        if in_plane != 0:
            raise InputError(
                f"{path}:{number}: expected an in-plane angle of 0, found {in_plane:g}"
            )
        views.append(View(azimuth, elevation, distance_ratio))
    return views


def write_views(path: str | Path, views: list[View]) -> None:
    """Write a `rendering_metadata.txt` as the official ones are written."""
    lines = [
        f"{view.azimuth:.12g} {view.elevation:.12g} 0 {view.distance_ratio:.12g} {NOMINAL_FOV}\n"
        for view in views
    ]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(lines))

"""Cameras of 3D-R2N2's renderings, and the rendering_metadata.txt that lists them.

A shape's bounding box is centered at the origin with a diagonal of 1, y up, front towards +x.
Every camera looks at the origin with +y up. The constants were fitted to the official files'
silhouettes.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

MAX_DISTANCE = 1.75  # from the origin at distance_ratio 1
FOCAL_LENGTH = 35 / 32  # in image widths: a 35 mm lens and a 32 mm sensor
NOMINAL_FOV = 25  # last column of the official metadata; the true angle is 49.1 degrees


class View(NamedTuple):
    """A camera: angles in degrees, distance_ratio in units of 1.75 bounding-box diagonals."""

    azimuth: float
    elevation: float
    distance_ratio: float


def sample_views(num_views: int, rng: np.random.Generator) -> list[View]:
    """Sample views as 3D-R2N2 did, uniformly.

    Azimuth in [0, 360), elevation in [25, 30] and distance_ratio in [0.65, 0.95].
    """
    samples = rng.uniform([0, 25, 0.65], [360, 30, 0.95], size=(num_views, 3))
    return [View(*sample) for sample in samples.tolist()]


def camera_position(view: View) -> np.ndarray:
    """Return the position (3,) of a camera."""
    azimuth, elevation = np.radians([view.azimuth, view.elevation])
    direction = [
        np.cos(elevation) * np.cos(azimuth),
        np.sin(elevation),
        np.cos(elevation) * np.sin(azimuth),
    ]
    return MAX_DISTANCE * view.distance_ratio * np.array(direction)


def camera_axes(view: View) -> np.ndarray:
    """Return a camera's right, down and forward as the rows of a rotation (3, 3)."""
    position = camera_position(view)
    forward = -position / np.linalg.norm(position)
    x, y, z = forward
    right = np.array([-z, 0, x]) / np.hypot(x, z)
    down = np.array([y * right[2], z * right[0] - x * right[2], -y * right[0]])
    return np.stack([right, down, forward])


def project(view: View, points: np.ndarray, width: int) -> np.ndarray:
    """Project points (..., 3) to a square image of `width` pixels.

    Returns (..., 2) column and row in pixels, from the image's upper left corner.
    """
    local = (np.asarray(points) - camera_position(view)) @ camera_axes(view).T
    return width * (0.5 + FOCAL_LENGTH * local[..., :2] / local[..., 2:])


def ray_directions(view: View, columns: np.ndarray, rows: np.ndarray, width: int) -> np.ndarray:
    """Return the camera rays through pixel positions, the inverse of `project`.

    Args:
        view: The camera.
        columns, rows: In pixels, float32; they broadcast to the shape (...).
        width: Of the square image, in pixels.

    Returns:
        (..., 3) float32, of length 1 along the optical axis, so that a ray's parameter is depth.
    """
    right, down, forward = camera_axes(view).astype(np.float32)
    x, y = (np.float32(position / width - 0.5) / FOCAL_LENGTH for position in (columns, rows))
    axes = zip(right, down, forward, strict=True)
    return np.stack([x * r + (y * d + f) for r, d, f in axes], axis=-1)


def write_views(path: Path, views: list[View]) -> None:
    """Write a rendering_metadata.txt in the official format."""
    lines = [
        f"{view.azimuth:.12g} {view.elevation:.12g} 0 {view.distance_ratio:.12g} {NOMINAL_FOV}\n"
        for view in views
    ]
    path.write_text("".join(lines), "ascii", newline="\n")

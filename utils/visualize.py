"""Pictures of voxels: cubes, shaded, seen from the side that a camera would take."""

from itertools import zip_longest

import numpy as np
from PIL import Image, ImageDraw

from utils.surface import exposed_faces

LIGHT = np.array([0.6, 0.8, 0.1]) / np.linalg.norm([0.6, 0.8, 0.1])
COLOR = np.array([126, 172, 222])
BACKGROUND = (255, 255, 255)
OVERSAMPLING = 3


def draw_voxels(
    occupied: np.ndarray, size: int = 256, azimuth: float = 30, elevation: float = 25
) -> Image.Image:
    """SampleKey occupied cells (X, Y, Z) as an RGB picture of size × size pixels.

    The camera looks at the grid's centre from `azimuth` and `elevation` in degrees, as in the
    dataset: azimuth 0 looks along -x at the front, and y is up. The projection is parallel.
    """
    a, e = np.radians([azimuth, elevation])
    backward = np.array([np.cos(e) * np.cos(a), np.sin(e), np.cos(e) * np.sin(a)])
    right = np.array([np.sin(a), 0, -np.cos(a)])
    up = np.cross(backward, right)

    corners, normals = exposed_faces(occupied)  # (F, 4, 3), (F, 3)
    seen = normals @ backward > 0
    corners, normals = corners[seen] - np.array(occupied.shape) / 2, normals[seen]
    farthest_first = np.argsort(corners.mean(1) @ backward)
    corners, normals = corners[farthest_first], normals[farthest_first]

    pixels = OVERSAMPLING * size
    scale = pixels / (1.55 * max(occupied.shape))
    columns = pixels / 2 + scale * (corners @ right)
    rows = pixels / 2 - scale * (corners @ up)
    shades = 0.4 + 0.6 * np.clip(normals @ LIGHT, 0, 1) ** 1.5
    colors = (shades[:, None] * COLOR).astype(int)
    edges = (0.75 * colors).astype(int)

    picture = Image.new("RGB", (pixels, pixels), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    points = np.stack([columns, rows], axis=-1).reshape(-1, 8)
    for polygon, fill, edge in zip(points.tolist(), colors.tolist(), edges.tolist(), strict=True):
        draw.polygon(polygon, fill=tuple(fill), outline=tuple(edge))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def image_grid(rows: list[list[Image.Image]], gap: int = 8) -> Image.Image:
    """Rows of pictures on white, each picture in the middle of its cell."""
    widths = [max(picture.width for picture in column if picture) for column in zip_longest(*rows)]
    heights = [max(picture.height for picture in row) for row in rows]
    size = sum(widths) + gap * (len(widths) - 1), sum(heights) + gap * (len(heights) - 1)
    page, top = Image.new("RGB", size, BACKGROUND), 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for picture, width in zip(row, widths, strict=False):
            place = left + (width - picture.width) // 2, top + (height - picture.height) // 2
            page.paste(picture, place)
            left += width + gap
        top += height + gap
    return page

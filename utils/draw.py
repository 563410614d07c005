"""Images of voxels, and figures made of them."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import uniform_filter

from utils.errors import InputError
from utils.files import atomic_write
from utils.voxels import exposed_faces, marching_cubes

COLOR = np.array([140, 188, 240])  # RGB
LIGHT = np.array([-0.54, 0.72, 0.44])  # from the left of the camera, above and behind it
OVERSAMPLING = 3
AZIMUTH, ELEVATION = 30, 25  # degrees
SIDE_AZIMUTHS = (120, 210, 300)  # azimuths of the further drawings of a prediction
TILE = 320  # pixels
CHECKER = 8  # pixels of a square behind a cut-out
MAX_COLUMNS = 5


def draw_voxels(
    occupied: np.ndarray, size: int = 256, azimuth: float = AZIMUTH, elevation: float = ELEVATION
) -> Image.Image:
    """Draw voxels as shaded cubes, in parallel projection.

    `utils/viewer.js` draws the same.

    Args:
        occupied (ndarray): (D, D, D) bool, axes x, y, z.
        size (int): Width and height in pixels.
        azimuth (float): Degrees, as in the dataset: 0 looks along -x at the front of the object.
        elevation (float): Degrees above the horizon.

    Returns:
        Image: RGB on white.
    """
    corners, normals = exposed_faces(occupied)  # (F, 4, 3), (F, 3)
    openness = 1 - 0.9 * _occlusion(occupied, corners, normals)
    corners = corners / max(occupied.shape) - 0.5
    return _draw_faces(corners, normals, openness, 0.85, size, (azimuth, elevation))


def draw_surface(
    probs: np.ndarray,
    size: int = 256,
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
    *,
    threshold: float,
) -> Image.Image:
    """Draw the surface that `marching_cubes` extracts from probabilities, as `draw_voxels` does."""
    vertices, faces = marching_cubes(probs, threshold)
    corners = vertices[faces]  # (F, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return _draw_faces(corners, normals, np.ones(len(faces)), 1, size, (azimuth, elevation))


def _draw_faces(corners, normals, openness, edge: float, size: int, view) -> Image.Image:
    """Draw faces with K corners (F, K, 3) in the cube [-0.5, 0.5]³, outward normals (F, 3).

    `openness` (F,) scales the light that faces get, and `edge` that of their outlines.
    """
    a, e = np.radians(view)
    backward = np.array([np.cos(e) * np.cos(a), np.sin(e), np.cos(e) * np.sin(a)])
    right = np.array([np.sin(a), 0, -np.cos(a)])
    up = np.cross(backward, right)
    light = LIGHT @ np.stack([right, up, backward])
    visible = normals @ backward > 0
    corners, normals = corners[visible], normals[visible]
    shades = (0.5 + 0.57 * np.clip(normals @ light, 0, 1)) * openness[visible]

    pixels = OVERSAMPLING * size
    scale = pixels / 1.55
    columns, rows = pixels / 2 + scale * (corners @ right), pixels / 2 - scale * (corners @ up)
    polygons = np.stack([columns, rows], axis=-1)  # (F, K, 2)
    colors = (shades[:, None] * COLOR).astype(int)
    image = Image.new("RGB", (pixels, pixels), "white")
    draw = ImageDraw.Draw(image)
    for i in np.argsort(corners.mean(1) @ backward).tolist():  # the farthest first
        outline = tuple((edge * colors[i]).astype(int).tolist())
        draw.polygon(polygons[i].ravel().tolist(), fill=tuple(colors[i].tolist()), outline=outline)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def _occlusion(occupied: np.ndarray, corners: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return how much of the 5 x 5 x 3 voxels in front of each face is occupied, (F,)."""
    padded = np.pad(occupied, 2).astype(float)
    blocked = np.stack(
        [uniform_filter(padded, np.where(np.arange(3) == axis, 3, 5)) for axis in range(3)]
    )
    middle = np.floor(corners.mean(1) + 1.5 * normals).astype(int) + 2
    return blocked[(np.abs(normals).argmax(1), *middle.T)]


def image_grid(
    rows: list[list[tuple[Image.Image, str]]], gap: int = 16, font_size: int = 20
) -> Image.Image:
    """Arrange rows of images of one size, each image with a caption above it.

    Shorter rows are centered.
    """
    width, height = rows[0][0][0].size
    font, text_height = ImageFont.load_default(font_size), round(1.5 * font_size)
    row_height = text_height + height + gap
    size = max(map(len, rows)) * (width + gap) + gap, len(rows) * row_height + gap
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for i, row in enumerate(rows):
        left = (size[0] - len(row) * (width + gap) + gap) // 2
        for j, (image, caption) in enumerate(row):
            x, y = left + j * (width + gap), gap + i * row_height
            text = caption.encode("utf-8", "replace").decode()  # a file name may not be valid UTF-8
            draw.text((x + width / 2, y), text, "#333", font, anchor="ma")
            page.paste(image, (x, y + text_height))
    return page


def draw_view(image: Image.Image, caption: str, size: int = TILE) -> Image.Image:
    """Draw an RGBA input view, over a checkerboard where the background was removed, as RGB.

    A view without a caption is a rendering, which never had a background.
    """
    squares = (np.indices(image.size[::-1]) // CHECKER).sum(0) % 2  # (H, W) of 0 and 1
    contrast = 15 if caption else 0
    page = Image.fromarray(np.uint8(240 + contrast * squares)).convert("RGBA")
    page.alpha_composite(image)
    return page.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)


def draw_prediction(
    views: list[tuple[Image.Image, str]], probs: np.ndarray, threshold: float, smooth: bool = False
) -> Image.Image:
    """Draw V input views, the prediction after each, and the last one from three more sides.

    `views` are images and captions, as of `draw_view`, and `probs` (V, D, D, D) the predictions
    from the first 1, 2, ... V of them. `smooth` draws the surface of `marching_cubes` in place of
    cubes.
    """
    draw = partial(draw_surface, threshold=threshold) if smooth else draw_voxels
    grids = probs if smooth else probs >= threshold
    inputs, growth = [], []
    for i, ((image, caption), grid) in enumerate(zip(views, grids, strict=True), start=1):
        name = f"input {i}" if len(views) > 1 else "input"
        inputs.append((draw_view(image, caption), f"{name}: {caption}" if caption else name))
        empty = "" if probs[i - 1].max() >= threshold else ": empty"
        growth.append((draw(grid, TILE), f"after {i} view{'s' if i > 1 else ''}{empty}"))
    starts = range(0, len(views), MAX_COLUMNS)
    rows = [row[start : start + MAX_COLUMNS] for start in starts for row in (inputs, growth)]
    if len(views) == 1:
        rows = [inputs + growth]
    sides = [
        (draw(grids[-1], TILE, side), f"result from azimuth {side}°") for side in SIDE_AZIMUTHS
    ]
    return image_grid([*rows, sides])


def image_format(path: str | Path) -> str:
    """Return the format to write an image in, by the path's suffix."""
    name = Image.registered_extensions().get(Path(path).suffix.lower())
    if name not in Image.SAVE:
        raise InputError(f"{path}: expected the name of an image, such as image.png")
    return name


def save_image(path: str | Path, image: Image.Image) -> None:
    """Write an image in the format of the path's suffix."""
    name = image_format(path)
    with atomic_write(path) as temporary:
        try:
            image.save(temporary, name)
        except ValueError as error:
            raise InputError(f"{path}: cannot be written, perhaps too large: {error}") from error

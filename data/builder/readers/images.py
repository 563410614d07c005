"""Texture images of untrusted files."""

import numpy as np
from PIL import Image

from utils.errors import InputError

TEXTURE_SIZE = 512  # pixels; a view of 137 shows no more
MAX_PIXELS = 8192**2


def to_texture(image: Image.Image) -> np.ndarray:
    """Return an image as (H, W, 4) uint8 of at most 512 pixels a side.

    Raises InputError for more than 8192x8192 pixels, and for EPS, whose decoder runs a program.
    """
    if image.format == "EPS":
        raise InputError("expected an image as texture, got EPS")
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width}x{image.height}"
        raise InputError(f"expected a texture of at most {MAX_PIXELS} pixels, got {size}")
    if image.mode != "RGBA" or max(image.size) > TEXTURE_SIZE:
        image = image.copy() if image.mode == "RGB" else image.convert("RGBA")
        image.thumbnail((TEXTURE_SIZE, TEXTURE_SIZE))
    return np.asarray(image.convert("RGBA"))

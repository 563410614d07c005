"""Texture images of untrusted files."""

import io

import numpy as np
from PIL import Image

from utils.errors import InputError

TEXTURE_SIZE = 512  # pixels; a view of 137 shows no more
MAX_PIXELS = 8192**2
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TGA", "TIFF", "DDS", "PCX", "PPM")  # EPS runs code


def read_image(content: bytes) -> np.ndarray:
    """Decode an image to (H, W, 4) uint8 of at most 512 pixels a side.

    Raises InputError for an unknown format, damage, and more than 8192x8192 pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"has {image.width}x{image.height} pixels")
            return to_texture(image)
    except InputError:
        raise
    except Exception as error:  # a damaged file can break a decoder in any way
        raise InputError("cannot be read as an image") from error


def to_texture(image: Image.Image) -> np.ndarray:
    """Return an image as (H, W, 4) uint8 of at most 512 pixels a side."""
    if image.mode.startswith(("I;16", "I")):  # 16-bit gray, which PIL would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode != "RGBA" or max(image.size) > TEXTURE_SIZE:
        image = image.copy() if image.mode == "RGB" else image.convert("RGBA")
        image.thumbnail((TEXTURE_SIZE, TEXTURE_SIZE))
    return np.asarray(image.convert("RGBA"))

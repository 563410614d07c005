"""Decode images of untrusted files."""

import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image

from utils.errors import InputError

MAX_PIXELS = 8192**2  # once decoded; JPEG can be decoded at a fraction of its size
READABLE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")  # EPS runs a program


def decode_image(
    content: bytes,
    convert: Callable[[Image.Image], Image.Image],
    side: int | None = None,
    formats=READABLE_FORMATS,
) -> Image.Image:
    """Decode an image file to 8 bits per channel, and convert it; of an animation, the first frame.

    Args:
        content: The file.
        convert: Applied to the image; what it raises counts as damage of the file.
        side: If given, JPEG is decoded at 1/2, 1/4 or 1/8 of its size while that is at least this,
            which takes less time and memory.
        formats: As PIL names them.

    Raises:
        InputError: If it is damaged, incomplete, in another format, or over 67 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels, which MAX_PIXELS limits; broken EXIF
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if side:
                    image.draft("RGB", (side, side))
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"{image.width}x{image.height} pixels, over {MAX_PIXELS}")
                image.load()
                return convert(to_8_bits(image))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything for a damaged file
        reason = str(error).partition(" <")[0]  # without the address of the buffer
        raise InputError(f"expected an image, got: {reason}") from error


def to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray, which PIL would clip to white, and refuse more bits."""
    if image.mode.startswith("I;16"):
        gray = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        gray.info = image.info  # EXIF, color profile
        return gray
    if image.mode in ("I", "F"):
        raise ValueError("more than 16 bits per pixel")
    return image

"""Read images of untrusted files."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from utils.errors import InputError
from utils.files import read_bytes

MAX_IMAGE_BYTES = 2**28
MAX_PIXELS = 8192**2  # once decoded; JPEG can be decoded at a fraction of its size
READABLE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")  # EPS runs a program
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def read_image(
    path: str | Path, convert: Callable[[Image.Image], Image.Image], side: int | None = None
) -> Image.Image:
    """Read an image file of at most 256 MB as `decode_image` does, HEIC too."""
    content = read_bytes(path, MAX_IMAGE_BYTES)
    is_heif = content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS
    try:
        if is_heif:
            _register_heif()
        return decode_image(content, convert, side, ["HEIF"] if is_heif else READABLE_FORMATS)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _register_heif() -> None:
    try:
        import pillow_heif  # optional: its wheel is under the GPL
    except ImportError:
        remedy = "run `pip install pillow-heif`, or convert it to JPEG"
        raise InputError(f"HEIC images need pillow-heif; {remedy}") from None
    pillow_heif.register_heif_opener()


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

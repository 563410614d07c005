"""Read photographs as phones and cameras write them: orientation, color profiles, bit depths."""

import glob
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

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


WORKING_SIZE = 1024  # longest side in pixels; the network sees 137
PHOTOGRAPH_SUFFIXES = {*".png .jpg .jpeg .webp .bmp .gif .tif .tiff .avif .heic .heif".split()}
MAX_ASPECT_ERROR = 0.02  # of a mask: sizes are rounded
SRGB = ImageCms.createProfile("sRGB")


def find_images(paths: list[str]) -> list[Path]:
    """Return the images that paths, folders and patterns such as `chair*.jpg` name.

    Raises InputError for a folder or a pattern without images.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            files = path.iterdir()
        elif glob.has_magic(path.name) and not path.exists():
            files = path.parent.glob(path.name)
        else:
            found.append(path)
            continue
        shown = (file for file in files if not file.name.startswith("."))  # not macOS' ._ files
        images = sorted(file for file in shown if file.suffix.lower() in PHOTOGRAPH_SUFFIXES)
        if not images:
            raise InputError(f"{path}: no images found")
        found += images
    return found


def read_photograph(path: str | Path) -> Image.Image:
    """Read an image as upright sRGB, RGBA, its longest side at most 1024 pixels."""
    return read_image(path, convert_photograph, 2 * WORKING_SIZE)


def convert_photograph(image: Image.Image) -> Image.Image:
    """Convert an image of any mode, orientation and color profile as `read_photograph` does."""
    image = ImageOps.exif_transpose(to_8_bits(image))
    profile = image.info.get("icc_profile")
    if image.mode in ("P", "PA", "1", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    image.thumbnail((WORKING_SIZE, WORKING_SIZE))
    has_alpha = image.mode in ("RGBA", "LA")
    alpha = image.getchannel("A") if has_alpha else Image.new("L", image.size, 255)
    color = image.convert("L" if image.mode == "LA" else "RGB") if has_alpha else image
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            color = ImageCms.profileToProfile(color, source, SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile, or one for another mode: taken as sRGB
    image = color.convert("RGB")
    image.putalpha(alpha)
    return image


def object_mask(mask: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return `mask_values` of a mask; raise InputError if its aspect ratio isn't that of `size`."""
    ratio = mask.width * size[1] / (mask.height * size[0])
    if max(ratio, 1 / ratio) > 1 + MAX_ASPECT_ERROR:
        expected, found = ("{}:{}".format(*pair) for pair in (size, mask.size))
        raise InputError(f"mask: expected the image's aspect ratio, {expected}, got {found}")
    return mask_values(mask, size)


def mask_values(mask: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return an RGBA image's alpha, or its brightness where it is opaque.

    Returns:
        np.ndarray: (H, W) float32 in [0, 1], resized to `size` = (W, H).
    """
    mask = mask.resize(size, Image.Resampling.BILINEAR)
    alpha = mask.getchannel("A")
    channel = alpha if alpha.getextrema()[0] < 255 else mask.convert("L")
    return np.asarray(channel, np.float32) / 255

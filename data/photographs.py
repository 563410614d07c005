"""Read photographs as phones and cameras write them: orientation, color profiles, bit depths."""

import glob
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from utils.errors import InputError
from utils.files import read_bytes, refuse_placeholder

READABLE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")  # EPS runs a program
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
OTHER_SUFFIXES = {*".heic .heif .hif .pjpeg .pjp .jif .jfi .mpo".split()}  # not in Pillow's list
WORKING_SIZE = 1024  # longest side in pixels; the network sees 137
MAX_ASPECT_ERROR = 0.02  # sizes of masks are rounded
SRGB = ImageCms.createProfile("sRGB")


def find_images(paths: list[str]) -> tuple[list[Path], list[str]]:
    """Find the images that paths, folders and patterns such as `chair*.jpg` name.

    Returns:
        tuple: The images, and a note on each folder or pattern that also names something else.

    Raises:
        InputError: For a folder or a pattern without images.
    """
    images, notes = [], []
    for path in map(Path, paths):
        if path.is_dir():
            entries = path.iterdir()
        elif glob.has_magic(path.name) and not path.exists():
            entries = path.parent.glob(path.name)
        else:
            images.append(path)
            continue
        entries = sorted(entry for entry in entries if not entry.name.startswith("."))
        found = [entry for entry in entries if is_image_name(entry)]
        unused = [entry.name for entry in entries if entry not in found]
        listed = ", ".join(unused[:1]) + (f" and {len(unused) - 1} more" if unused[1:] else "")
        if not found:
            raise InputError(f"{path}: no images found; it has {listed or 'no files'}")
        images += found
        if unused:
            notes.append(f"{path}: not used: {listed}")
    return images, notes


def is_image_name(path: Path) -> bool:
    suffix = path.suffix.lower()
    readable = Image.registered_extensions().get(suffix) in READABLE_FORMATS
    return (readable or suffix in OTHER_SUFFIXES) and not path.is_dir()


def read_image(
    path: str | Path, convert: Callable[[Image.Image], Image.Image], side: int | None = None
) -> Image.Image:
    """Read an image file as `decode_image` does."""
    content = read_bytes(path)
    try:
        return decode_image(content, convert, side)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def decode_image(
    content: bytes,
    convert: Callable[[Image.Image], Image.Image],
    side: int | None = None,
    formats=READABLE_FORMATS,
) -> Image.Image:
    """Decode an image file, or the first frame of an animation, with 8 bits per channel.

    Args:
        content: The file.
        convert: Applied to the image; what it raises counts as damage of the file.
        side: If given, JPEG is decoded at 1/2, 1/4 or 1/8 of its size while that is at least this.
        formats: Names of Pillow's formats.

    Raises:
        InputError: If the file is damaged, in another format, or too large to decode.
    """
    refuse_placeholder(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about broken EXIF and many pixels
            image = _open(content, side, formats)
            image.load()
            return convert(to_8_bits(image))
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"damaged, or not an image ({', '.join(formats)})") from None
    except (MemoryError, Image.DecompressionBombError):
        raise InputError("too many pixels to decode; scale the image down") from None
    except Exception as error:  # decoders raise anything for a damaged file
        raise InputError(f"damaged image: {error}") from error


def _open(content: bytes, side: int | None, formats) -> Image.Image:
    if content.startswith(b"\xff\xd8"):
        image = JpegImageFile(io.BytesIO(content))  # Image.open refuses many pixels before draft()
        if side:
            image.draft("RGB", (side, side))
        return image
    if content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS:
        _register_heif()
        formats = ["HEIF"]
    return Image.open(io.BytesIO(content), formats=formats)


def _register_heif() -> None:
    try:
        import pillow_heif  # optional: its wheel is under the GPL
    except ImportError:
        remedy = "run `pip install pillow-heif`, or convert it to JPEG"
        raise InputError(f"HEIC images need pillow-heif; {remedy}") from None
    pillow_heif.register_heif_opener()


def to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray, which PIL would clip to white, and refuse more bits."""
    if image.mode.startswith("I;16"):
        gray = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        gray.info = image.info  # EXIF, color profile
        return gray
    if image.mode in ("I", "F"):
        raise InputError("32 bits per channel; save it with 8 or 16")
    return image


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
            pass  # a damaged profile or one for another mode; take the colors as sRGB
    image = color.convert("RGB")
    image.putalpha(alpha)
    return image


def object_mask(mask: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return `mask_values`, or raise InputError if a mask's aspect ratio is not that of `size`."""
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

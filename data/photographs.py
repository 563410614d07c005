"""Read photographs as phones and cameras write them: orientation, color profiles, bit depths."""

import glob
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from data.images import read_image, to_8_bits
from utils.errors import InputError

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

"""A photograph of an object made like the pictures the network was trained on."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from data.layout import SIZE
from data.transforms import letterbox, read_image

# The longer side of the object is 90 of 137 pixels in the mean of 120 official renderings, and from
# 51 to 119 (three chairs, a bench and a car, 24 views each; alpha of at least one half).
FRAMED = 90
PLAIN = 0.6  # the share of the border that has one color where the background is plain
LEAST_TOLERANCE = 16  # of a channel, in 255ths: what JPEG does to a plain background
LONGEST = 1024  # pixels of a side; larger pictures are scaled down before they are cut out
SOFT = 2  # pixels beside the background whose alpha says how much they differ from it


def load_photograph(path: str | Path) -> Image.Image:
    """Read a picture of one object as RGBA of 137×137 pixels, framed like a rendering.

    Alpha tells the object where there is any; else a plain background is cut out. The object is
    centered and scaled so that its longer side has 90 pixels. A picture without alpha and without a
    plain background is scaled to fit, whole, and one of 137×137 pixels with alpha is taken for a
    rendering and left as it is. Raises InputError as `data.transforms.read_image` does.
    """
    return prepare_photograph(read_image(path))


def prepare_photograph(picture: Image.Image) -> Image.Image:
    """Do what `load_photograph` does, with an RGBA image."""
    transparent = picture.getchannel("A").getextrema()[0] < 255
    if transparent and picture.size == (SIZE, SIZE):
        return picture
    picture.thumbnail((LONGEST, LONGEST))
    return crop_to_object(picture if transparent else remove_background(picture))


def remove_background(picture: Image.Image) -> Image.Image:
    """Make the background of an opaque RGBA picture transparent, where it is plain.

    The background is what has nearly the border's median color and is joined to the border.
    Pixels at its edge, where both mix, become partly transparent and lose its color.
    """
    colors = np.asarray(picture.convert("RGB")).astype(np.float32)
    border = np.concatenate([colors[0], colors[-1], colors[1:-1, 0], colors[1:-1, -1]])
    background = np.median(border, axis=0)
    spread = np.abs(border - background).max(-1)
    tolerance = max(LEAST_TOLERANCE, 3 * float(np.median(spread)))
    if (spread <= tolerance).mean() < PLAIN:
        return picture
    difference = np.abs(colors - background).max(-1)
    regions, _ = ndimage.label(difference <= tolerance)
    rim = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    outside = np.isin(regions, rim[rim > 0])
    beside = ndimage.binary_dilation(outside, iterations=SOFT) & ~outside
    # How far the object's own color, the farthest nearby, is from the background's.
    full = ndimage.maximum_filter(difference, size=2 * SOFT + 1)
    mixed = (difference / np.maximum(full, 1)).clip(0, 1)
    alpha = np.where(outside, 0, np.where(beside, mixed, 1))[..., None]
    pure = (colors - (1 - alpha) * background) / np.maximum(alpha, 1 / 255)
    pixels = np.concatenate([pure.clip(0, 255), 255 * alpha], axis=-1)
    return Image.fromarray(pixels.round().astype(np.uint8))


def crop_to_object(picture: Image.Image) -> Image.Image:
    """Centre what is visible in an RGBA picture and scale its longer side to 90 of 137 pixels.

    A picture that is opaque or transparent everywhere is scaled to fit, whole.
    """
    alpha = picture.getchannel("A")
    box = alpha.point(lambda value: 255 * (value >= 128)).getbbox()
    if box is None or alpha.getextrema()[0] == 255:
        return letterbox(picture)
    left, top, right, bottom = box
    side = max(right - left, bottom - top) * SIZE / FRAMED
    corner = (left + right - side) / 2, (top + bottom - side) / 2
    # The window may reach beyond the picture: a transparent margin first, then cut and scale.
    margin = int(np.ceil(max(0, -min(corner), corner[0] + side - picture.width,
                             corner[1] + side - picture.height)))  # fmt: skip
    wide = Image.new("RGBA", (picture.width + 2 * margin, picture.height + 2 * margin))
    wide.paste(picture, (margin, margin))
    window = [corner[0] + margin, corner[1] + margin]
    window += [edge + side for edge in window]
    return wide.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=window)

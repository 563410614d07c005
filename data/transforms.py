"""From an image file to the RGB view that the network sees."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from data.layout import RENDERING_SIZE
from data.photographs import read_image

EVAL_BACKGROUND = (240, 240, 240)
# The lowest and the highest channel value of a background in training.
BACKGROUNDS = {"paper": (225, 255), "strong": (150, 255)}
# Ranges of strong augmentation: factors on the object's size, light and channels; exponent.
SCALES, LIGHTS, TINTS, GAMMAS = (0.82, 1.12), (0.6, 1.25), (0.92, 1.08), (0.7, 1.4)


def load_image(path: str | Path) -> Image.Image:
    """Read an image as upright RGBA, 137×137; another size is scaled as by `letterbox`."""
    return read_image(path, _to_rendering)


def _to_rendering(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.size == (RENDERING_SIZE, RENDERING_SIZE) else letterbox(image)


def letterbox(image: Image.Image) -> Image.Image:
    """Scale an RGBA image to fit into 137×137 pixels, with transparent margins."""
    factor = RENDERING_SIZE / max(image.size)
    width, height = (max(1, round(factor * side)) for side in image.size)
    scaled = image.resize((width, height), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (RENDERING_SIZE, RENDERING_SIZE))
    square.paste(scaled, ((RENDERING_SIZE - width) // 2, (RENDERING_SIZE - height) // 2))
    return square


def eval_transform(image: Image.Image, size: int) -> Image.Image:
    """Return the center crop of an RGBA rendering, RGB of `size` pixels per side, on gray."""
    corner = (RENDERING_SIZE - size) // 2
    return _crop(image, (corner, corner), size, EVAL_BACKGROUND)


def train_transform(
    image: Image.Image, size: int, rng: np.random.Generator, augmentation: str = "paper"
) -> Image.Image:
    """Return a random crop of an RGBA rendering, RGB of `size` pixels per side.

    It is flipped in half of the cases and has a random light background, as in the authors' code.
    "strong" augmentation also varies scale, light and colors.
    """
    if augmentation == "strong":
        image = _scale_and_color(image, rng)
    low, high = BACKGROUNDS[augmentation]
    left, top, flip, *rgb = rng.random(6).tolist()
    corner = [int(fraction * (RENDERING_SIZE - size + 1)) for fraction in (left, top)]
    background = tuple(low + int(channel * (high - low + 1)) for channel in rgb)
    return _crop(image, corner, size, background, flip=flip < 0.5)


def _scale_and_color(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    scale, light, gamma = (rng.uniform(*limits) for limits in (SCALES, LIGHTS, GAMMAS))
    if image.getchannel("A").getextrema()[0] == 255:  # opaque: shrunk, it would get a frame
        scale = max(scale, 1)
    side = round(scale * RENDERING_SIZE)
    low = (side - RENDERING_SIZE) // 2
    high = low + RENDERING_SIZE
    image = image.resize((side, side), Image.Resampling.BILINEAR).crop((low, low, high, high))
    curve = light * (np.arange(256) / 255) ** gamma
    channels = rng.uniform(*TINTS, size=3)[:, None] * curve  # (3, 256)
    table = np.append(255 * channels.clip(0, 1), np.arange(256))  # alpha is kept
    return image.point(table.round().astype(int).tolist())


def _crop(image: Image.Image, corner, size: int, background, flip: bool = False) -> Image.Image:
    """Crop an RGBA image, maybe flip the crop, and composite it over a background color."""
    view = Image.new("RGB", (size, size), background)
    if box := image.getbbox():  # crop to it: four fifths of a rendering are transparent
        visible = image.crop(box)
        left, top = box[0] - corner[0], box[1] - corner[1]
        if flip:
            visible = visible.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            left = size - left - visible.width
        view.paste(visible, (left, top), mask=visible)  # with its alpha
    return view

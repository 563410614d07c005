"""From a picture file to the square that the network sees."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from data.layout import SIZE
from utils.errors import InputError
from utils.files import read_bytes

PNG_END = b"IEND\xaeB`\x82"
LARGEST = 50_000_000  # pixels of a picture that is still opened
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # none that starts a program, as EPS
LARGEST_PICTURE = 2**28  # bytes of its file
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # LARGEST is less
TEST_BACKGROUND = (240, 240, 240)
TRAIN_BACKGROUNDS = (225, 255)  # darkest and lightest value of a channel
# How pictures vary for training, so that photographs are nothing new: the factor on the object's
# size and on the light, the gamma, the tint of each channel, the background.
SCALES, LIGHTS, GAMMAS, TINTS = (0.82, 1.12), (0.6, 1.25), (0.7, 1.4), (0.92, 1.08)
VARIED_BACKGROUNDS = (150, 255)


def load_image(path: str | Path, within: Path | None = None) -> Image.Image:
    """Read a picture as RGBA of 137×137 pixels, with `letterbox` where it has another size."""
    picture = read_image(path, within)
    return picture if picture.size == (SIZE, SIZE) else letterbox(picture)


def read_image(path: str | Path, within: Path | None = None) -> Image.Image:
    """Read a picture as RGBA, upright where a camera noted how it was held.

    Raises InputError when it is not a complete picture, one of more than 50 million pixels or 256
    MB, or a link out of the folder `within`.
    """
    content = read_bytes(path, LARGEST_PICTURE, within)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > LARGEST:
                raise ValueError(f"more than {LARGEST} pixels: {picture.width}x{picture.height}")
            if picture.format == "PNG" and PNG_END not in content:
                raise ValueError("the end of the file is missing")
            ImageOps.exif_transpose(picture, in_place=True)
            picture.load()
            return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    except MemoryError:
        raise
    except Exception as error:  # a broken file can break a decoder in any way
        found = str(error).partition(" <")[0]  # without the name of the buffer in memory
        raise InputError(f"{path}: expected a whole picture, found: {found}") from error


def letterbox(picture: Image.Image) -> Image.Image:
    """Scale an RGBA picture, whole, to 137×137 pixels, the shorter side padded transparently."""
    factor = SIZE / max(picture.size)
    size = [max(1, round(factor * side)) for side in picture.size]
    scaled = picture.resize(size, Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (SIZE, SIZE))
    square.paste(scaled, [(SIZE - side) // 2 for side in size])
    return square


def as_bytes(views: list[Image.Image]) -> np.ndarray:
    """RGB views of S pixels a side as bytes (V, S, S, 3)."""
    size = views[0].width
    content = np.empty((len(views), size, size, 3), np.uint8)
    for number, view in enumerate(views):
        content[number] = np.frombuffer(view.tobytes(), np.uint8).reshape(size, size, 3)
    return content


def eval_transform(picture: Image.Image, size: int) -> Image.Image:
    """The middle of an RGBA picture, `size` pixels a side, on the background of evaluation."""
    corner = (SIZE - size) // 2
    return _view(picture, (corner, corner), size, TEST_BACKGROUND)


def train_transform(
    picture: Image.Image, size: int, rng: np.random.Generator, *, varied: bool = False
) -> Image.Image:
    """A random crop of an RGBA picture, flipped or not, on a random light background.

    Where it is to be `varied`, scale, light and colors are random as well.
    """
    darkest, lightest = VARIED_BACKGROUNDS if varied else TRAIN_BACKGROUNDS
    if varied:
        picture = _varied(picture, rng)
    *place, flip, red, green, blue = rng.random(6).tolist()
    corner = [int(share * (SIZE - size + 1)) for share in place]
    background = tuple(darkest + int(c * (lightest - darkest + 1)) for c in (red, green, blue))
    return _view(picture, corner, size, background, flipped=flip < 0.5)


def _varied(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture with its object larger or smaller, lighter or darker, and tinted."""
    scale, light, gamma = (rng.uniform(*limits) for limits in (SCALES, LIGHTS, GAMMAS))
    side = round(scale * SIZE)
    corner = (side - SIZE) // 2
    picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    picture = picture.crop((corner, corner, corner + SIZE, corner + SIZE))
    curve = light * (np.arange(256) / 255) ** gamma
    channels = rng.uniform(*TINTS, size=3)[:, None] * curve  # (3, 256)
    table = np.append(255 * channels.clip(0, 1), np.arange(256))  # alpha stays
    return picture.point(table.round().astype(int).tolist())


def _view(picture: Image.Image, corner, size: int, background, flipped=False) -> Image.Image:
    view = Image.new("RGB", (size, size), background)
    if box := picture.getbbox():  # four fifths of a rendering are transparent
        visible = picture.crop(box)
        left, top = box[0] - corner[0], box[1] - corner[1]
        if flipped:
            visible = visible.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            left = size - left - visible.width
        view.paste(visible, (left, top), mask=visible)  # RGBA as mask: its alpha
    return view

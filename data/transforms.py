"""From a picture file to the square that the network sees, in bytes."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from data.layout import SIZE
from utils.errors import UserError

PNG_END = b"IEND\xaeB`\x82"
LARGEST = 50_000_000  # pixels of a picture that is still opened
TEST_BACKGROUND = (240, 240, 240)
TRAIN_BACKGROUNDS = (225, 255)  # lightest and darkest value of a channel


def open_picture(path: str | Path) -> Image.Image:
    """Read a picture as RGBA of 137×137 pixels, scaled to `fit` where it has another size."""
    picture = read_picture(path)
    return picture if picture.size == (SIZE, SIZE) else fit(picture)


def read_picture(path: str | Path) -> Image.Image:
    """Read a picture as RGBA.

    Raises UserError when it is not a complete picture, or one of more than 50 million pixels.
    """
    content = Path(path).read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > LARGEST:
                raise ValueError(f"more than {LARGEST} pixels: {picture.width}x{picture.height}")
            if picture.format == "PNG" and PNG_END not in content:
                raise ValueError("the end of the file is missing")
            picture.load()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        found = str(error).partition(" <")[0]  # without the name of the buffer in memory
        raise UserError(f"{path}: expected a whole picture, found: {found}") from error
    return picture if picture.mode == "RGBA" else picture.convert("RGBA")


def fit(picture: Image.Image) -> Image.Image:
    """Scale an RGBA picture, whole, to 137×137 pixels, the shorter side padded transparently."""
    factor = SIZE / max(picture.size)
    size = [max(1, round(factor * side)) for side in picture.size]
    scaled = picture.resize(size, Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (SIZE, SIZE))
    square.paste(scaled, [(SIZE - side) // 2 for side in size])
    return square


def evaluation_view(picture: Image.Image, size: int) -> np.ndarray:
    """The middle of a picture on the background of evaluation: bytes (size, size, 3)."""
    corner = (SIZE - size) // 2
    return _view(picture, (corner, corner), size, TEST_BACKGROUND)


def training_view(picture: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop, flipped or not, on a random light background: bytes (size, size, 3)."""
    corner = rng.integers(SIZE - size + 1, size=2).tolist()
    lightest = tuple(rng.integers(*TRAIN_BACKGROUNDS, size=3, endpoint=True).tolist())
    return _view(picture, corner, size, lightest, flipped=rng.random() < 0.5)


def _view(picture: Image.Image, corner, size: int, background, flipped=False) -> np.ndarray:
    left, top = corner
    cropped = picture.crop((left, top, left + size, top + size))
    if flipped:
        cropped = cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    view = Image.new("RGB", (size, size), background)
    if box := cropped.getbbox():  # four fifths of a rendering are transparent
        visible = cropped.crop(box)
        view.paste(visible, box, mask=visible)  # RGBA as mask: its alpha
    return np.asarray(view)

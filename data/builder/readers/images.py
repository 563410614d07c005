"""Texture images of untrusted files."""

import numpy as np
from PIL import Image

from data.images import READABLE_FORMATS, decode_image

MAX_TEXTURE_SIZE = 512  # pixels; a view of 137 shows no more
TEXTURE_FORMATS = (*READABLE_FORMATS, "TGA", "DDS", "PCX", "PPM")


def read_texture(content: bytes) -> np.ndarray:
    """Decode an image to (H, W, 4) uint8 of at most 512 pixels a side.

    Raises InputError as `decode_image` does.
    """
    return np.asarray(decode_image(content, _to_texture, formats=TEXTURE_FORMATS))


def _to_texture(image: Image.Image) -> Image.Image:
    if image.mode != "RGB":
        image = image.convert("RGBA")
    if max(image.size) <= MAX_TEXTURE_SIZE or image.mode == "RGB":
        image.thumbnail((MAX_TEXTURE_SIZE, MAX_TEXTURE_SIZE))
        return image.convert("RGBA")
    color = image.convert("RGB")
    for part in (image, color):
        part.thumbnail((MAX_TEXTURE_SIZE, MAX_TEXTURE_SIZE))
    # Scaling RGBA blackens transparent pixels, which are opaque where glTF ignores the alpha.
    alpha = image.getchannel("A")
    color.paste(image.convert("RGB"), mask=alpha.point(lambda value: 255 * (value > 0)))
    color.putalpha(alpha)
    return color

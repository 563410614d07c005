"""Materials of Wavefront MTL files."""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data.builder.mesh import GRAY, Texture
from data.builder.readers.assets import Assets
from data.builder.readers.text import split_keyword, split_lines
from data.photographs import mask_values

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
MAX_ARGUMENTS = {"s": 3, "o": 3, "t": 3, "mm": 2}  # of a map's options; all others take one


@dataclass
class MtlMaterial:
    """A color, RGB in [0, 1], and a texture with the scale and offset of its coordinates."""

    folder: str = ""  # of the library, where its images are
    color: tuple[float, float, float] | None = None
    opacity: float | None = None
    image_name: str = ""
    alpha_name: str = ""  # of the image of map_d
    texture: Texture | None = None
    scale: tuple[float, float] = (1, 1)
    offset: tuple[float, float] = (0, 0)
    clamp: bool = False

    @property
    def rgba(self) -> np.ndarray:
        """What the texture is multiplied with, (4,) uint8."""
        rgb = GRAY[:3] if self.color is None else np.clip(self.color, 0, 1) * 255
        opacity = 1 if self.opacity is None else np.clip(self.opacity, 0, 1)
        return np.rint([*rgb, 255 * opacity]).astype(np.uint8)

    def load_texture(self, assets: Assets) -> None:
        """Set `texture` if there is an image that can be read; it replaces the color."""
        pixels, mask = (
            assets.get_image(name, self.folder) if name else None
            for name in (self.image_name, self.alpha_name)
        )
        if pixels is not None:
            self.color = (1, 1, 1)
        elif self.image_name and not any(self.color or ()):
            self.color = None  # exporters write black where a texture covers it
        if mask is not None and assets.has_room(self.alpha_name):
            pixels = _join_alpha(np.full_like(mask, 255) if pixels is None else pixels, mask)
            assets.num_texture_bytes += pixels.nbytes
        if pixels is not None:
            self.texture = Texture(pixels, (self.clamp,) * 2)


def read_materials(content: bytes, names: set[str], folder: str) -> dict[str, MtlMaterial]:
    """Return those materials of an MTL file whose names in lower case are in `names`."""
    materials: dict[str, MtlMaterial] = {}
    current = MtlMaterial()
    for line in split_lines(content):
        keyword, rest = split_keyword(line)
        keyword = keyword.lower()
        if keyword == "newmtl":
            is_used = rest.casefold() in names
            current = materials.setdefault(rest, MtlMaterial(folder)) if is_used else MtlMaterial()
        elif keyword == "kd":
            current.color = _color(rest) or current.color
        elif keyword in ("d", "tr") and rest:
            _read_opacity(keyword, rest, current)
        elif keyword == "map_kd" and rest:
            _read_map(rest, current)
        elif keyword == "map_d" and rest:
            _read_map(rest, mask := MtlMaterial())
            current.alpha_name = mask.image_name
    return materials


def _read_opacity(keyword: str, text: str, material: MtlMaterial) -> None:
    """Set the opacity of "d 0.3", "d -halo 0.3" or, where there is no d, "Tr 0.7".

    A Tr of 1 is left out: some exporters mean opaque.
    """
    value = _color(text.split()[-1])
    if value and keyword == "d":
        material.opacity = value[0]
    elif value and value[0] < 1 and material.opacity is None:
        material.opacity = 1 - value[0]


def _join_alpha(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an image with the alpha of another one, in the size of the larger one."""
    size = tuple(np.maximum(pixels.shape, mask.shape)[1::-1])
    color = np.asarray(Image.fromarray(pixels).resize(size))[..., :3]
    alpha = np.rint(255 * mask_values(Image.fromarray(mask), size))
    return np.dstack([color, alpha.astype(np.uint8)])


def _color(text: str) -> tuple[float, float, float] | None:
    """Return the RGB of one or three numbers; None for a spectrum."""
    try:
        values = [float(word) for word in text.split()[:3]]
    except ValueError:
        return None
    if not values or not np.isfinite(values).all():
        return None
    return tuple(values) if len(values) == 3 else (values[0],) * 3


def _read_map(text: str, material: MtlMaterial) -> None:
    """Set a material's texture from the options and the file name of a map."""
    words = text.split()
    while words and re.match(r"-[a-zA-Z]+$", words[0]) and len(words) > 1:
        option = words.pop(0)[1:].lower()
        arguments = []
        if option in MAX_ARGUMENTS:
            while len(arguments) < MAX_ARGUMENTS[option] and words and NUMBER.match(words[0]):
                arguments.append(float(words.pop(0)))
        elif len(words) > 1:
            arguments.append(words.pop(0))
        if option == "clamp" and arguments:
            material.clamp = arguments[0].lower() == "on"
        elif option in ("s", "o") and arguments:
            pair = (*arguments, arguments[0] if option == "s" else 0.0)[:2]
            setattr(material, {"s": "scale", "o": "offset"}[option], pair)
    material.image_name = " ".join(words).strip("\"'")

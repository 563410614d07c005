"""Materials of Wavefront MTL files."""

import re
from dataclasses import dataclass

import numpy as np

from data.builder.mesh import GRAY, Texture
from data.builder.readers.assets import Assets
from data.builder.readers.text import split_keyword, split_lines

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
MAX_ARGUMENTS = {"s": 3, "o": 3, "t": 3, "mm": 2}  # of a map's options; all others take one


@dataclass
class Material:
    """A color, RGB in [0, 1], and a texture with the scale and offset of its coordinates."""

    color: tuple[float, float, float] | None = None
    image_name: str = ""
    texture: Texture | None = None
    scale: tuple[float, float] = (1, 1)
    offset: tuple[float, float] = (0, 0)
    clamp: bool = False

    @property
    def rgba(self) -> np.ndarray:
        """What the texture is multiplied with, (4,) uint8: white, as it replaces the color."""
        if self.texture is not None:
            return np.uint8([255] * 4)
        if self.color is None or (self.image_name and not any(self.color)):
            return np.uint8(GRAY)  # exporters write black where a texture covers it
        return np.uint8([*np.rint(np.clip(self.color, 0, 1) * 255), 255])

    def load_texture(self, assets: Assets) -> None:
        """Set `texture` if there is an image that can be read."""
        pixels = assets.get_image(self.image_name) if self.image_name else None
        if pixels is not None:
            self.texture = Texture(pixels, (self.clamp,) * 2)


def read_materials(content: bytes, names: set[str]) -> dict[str, Material]:
    """Return those materials of an MTL file whose names in lower case are in `names`."""
    materials: dict[str, Material] = {}
    current = Material()
    for line in split_lines(content):
        keyword, rest = split_keyword(line)
        keyword = keyword.lower()
        if keyword == "newmtl":
            is_used = rest.casefold() in names
            current = materials.setdefault(rest, Material()) if is_used else Material()
        elif keyword == "kd":
            current.color = _color(rest) or current.color
        elif keyword == "map_kd" and rest:
            _read_map(rest, current)
    return materials


def _color(text: str) -> tuple[float, float, float] | None:
    """Return the RGB of one or three numbers; None for a spectrum."""
    try:
        values = [float(word) for word in text.split()[:3]]
    except ValueError:
        return None
    if not values or not np.isfinite(values).all():
        return None
    return tuple(values) if len(values) == 3 else (values[0],) * 3


def _read_map(text: str, material: Material) -> None:
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

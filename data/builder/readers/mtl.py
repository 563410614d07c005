"""Materials of Wavefront MTL files."""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data.builder.mesh import GRAY, Texture
from data.builder.readers.assets import Assets
from data.builder.readers.text import split_keyword, split_lines
from data.photographs import mask_values

# An option of a map, with its numbers or one word, such as -s 1 1 1 or -clamp on.
OPTION = re.compile(r"-(\w+)((?: [-+]?[\d.]+(?:e[-+]?\d+)?){1,3}| \S+) (?=\S)", re.IGNORECASE)


@dataclass
class MtlMaterial:
    """A color and a texture that is multiplied with it.

    rgba: (4,) in [0, 255].
    has_color: Whether the file gives a color or a texture.
    scale, offset: Of the texture coordinates u and v.
    """

    rgba: np.ndarray
    has_color: bool
    texture: Texture | None
    scale: list[float]
    offset: list[float]


def read_materials(content: bytes) -> dict[str, dict[str, str]]:
    """Return the statements of an MTL file by material and keyword in lower case."""
    materials: dict[str, dict[str, str]] = {}
    statements: dict[str, str] = {}
    for line in split_lines(content):
        keyword, rest = split_keyword(line)
        if keyword == "newmtl":
            statements = materials.setdefault(rest, {})
        elif rest:
            statements[keyword] = rest
    return materials


def make_material(statements: dict[str, str], folder: str, assets: Assets) -> MtlMaterial:
    """Return the material of statements; its images are looked up from `folder`."""
    color, emission = (_numbers(statements.get(key, "")) for key in ("kd", "ke"))
    maps = ["map_kd", "map_ka"]
    if color == (0, 0, 0):
        maps.append("map_ke")
        color = emission or color
    name, options = _read_map(next((statements[key] for key in maps if key in statements), ""))
    pixels = assets.get_image(name, folder) if name else None
    if pixels is not None:
        color = (1, 1, 1)  # a texture replaces the color
    elif name and color == (0, 0, 0):
        color = None  # exporters write black where a texture covers it

    rgb = GRAY[:3] if color is None else np.clip(color, 0, 1) * 255
    rgba = np.rint([*rgb, 255 * np.clip(_opacity(statements), 0, 1)])
    mask_name, _ = _read_map(statements.get("map_d", ""))
    mask = assets.get_image(mask_name, folder) if mask_name else None
    if mask is not None:
        pixels = _join_alpha(np.full_like(mask, 255) if pixels is None else pixels, mask)
    clamp = (options.get("clamp") == ["on"],) * 2
    texture = None if pixels is None else Texture(pixels, clamp)
    scale = [float(word) for word in options.get("s", [1])]
    offset = [float(word) for word in options.get("o", [0])]
    uv_scale = (scale * 2)[:2]  # one number is for both axes
    return MtlMaterial(rgba, color is not None, texture, uv_scale, [*offset, 0][:2])


def _opacity(statements: dict[str, str]) -> float:
    """Return the opacity of "d 0.3", "d -halo 0.3" or, where there is no d, "Tr 0.7".

    Some exporters write a Tr of 1, or both as 0, and mean opaque.
    """
    opacity = _numbers(statements.get("d", "").split(" ")[-1])
    transparency = _numbers(statements.get("tr", ""))
    both_zero = opacity and transparency and opacity[0] == transparency[0] == 0
    if opacity and not both_zero:
        return opacity[0]
    return 1 - transparency[0] if transparency and transparency[0] < 1 else 1


def _join_alpha(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an image with the alpha of another one, in the size of the larger one."""
    size = tuple(np.maximum(pixels.shape, mask.shape)[1::-1])
    color = np.asarray(Image.fromarray(pixels).resize(size))[..., :3]
    alpha = np.rint(255 * mask_values(Image.fromarray(mask), size))
    return np.dstack([color, alpha.astype(np.uint8)])


def _numbers(text: str) -> tuple[float, float, float] | None:
    """Return the RGB of one or three numbers; None for a spectrum or no numbers."""
    try:
        values = tuple(float(word) for word in text.split()[:3])
    except ValueError:
        return None
    if not values or not np.isfinite(values).all():
        return None
    return values if len(values) == 3 else values[:1] * 3


def _read_map(text: str) -> tuple[str, dict[str, list[str]]]:
    """Return the file name of a map, and the words behind each of its options."""
    options = {}
    while option := OPTION.match(text):
        options[option[1].lower()] = option[2].split()
        text = text[option.end() :]
    return text.strip("\"'"), options

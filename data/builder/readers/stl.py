"""STL, binary and ASCII, with the face colors of VisCAM and of Materialise Magics."""

import re

import numpy as np

from data.builder.mesh import GRAY, Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.text import decode

HEADER_BYTES, FACET_BYTES = 84, 50
FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
VERTEX = re.compile(r"vertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)
MATERIALISE = re.compile(rb"COLOR=(....)", re.DOTALL)


def read_stl(content: bytes, assets: Assets, name: str) -> list[Mesh]:
    """Read an STL file."""
    first = content[80:134]  # the count and the first facet of a binary file
    if b"\0" not in first:
        facets = re.split(r"[\r\n]", decode(content).lstrip(), maxsplit=1)[-1]  # without the name
        corners = VERTEX.findall(facets)
        triangles = np.array(corners[: len(corners) // 3 * 3], dtype=float).reshape(-1, 3, 3)
        return [make_mesh(triangles)]
    num_facets = int.from_bytes(content[80:84], "little")
    available, trailing = divmod(len(content) - HEADER_BYTES, FACET_BYTES)
    if num_facets > available or num_facets == 0 or not trailing:
        num_facets = available  # the count is wrong, as in streamed exports
    facets = np.frombuffer(content, FACET, num_facets, HEADER_BYTES)
    colors = _face_colors(content[:80], facets["attribute"])
    return [make_mesh(facets["corners"].astype(float), np.repeat(colors[:, None], 3, axis=1))]


def _face_colors(header: bytes, attributes: np.ndarray) -> np.ndarray:
    """Return RGBA (F, 4) of the facets' attributes: five bits a channel, and one more.

    VisCAM has blue lowest, and sets the last bit where a facet has a color. Materialise has red
    lowest, and sets it where a facet has none but the color in the header.
    """
    channels = (attributes[:, None] >> np.uint16([0, 5, 10])) & 31
    rgb = np.rint(channels * (255 / 31))
    has_color = attributes >= 2**15
    default = GRAY
    if materialise := MATERIALISE.search(header):
        default = (*materialise[1][:3], 255)
        has_color = ~has_color & attributes.any()  # all zero: colors were not written
    else:
        rgb = rgb[:, ::-1]
    return np.where(has_color[:, None], np.insert(rgb, 3, 255, axis=1), default)

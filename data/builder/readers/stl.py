"""STL, binary and ASCII."""

import re

import numpy as np

from data.builder.mesh import Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.polygons import check_num_faces
from data.builder.readers.text import UTF_16, decode
from utils.errors import InputError

HEADER_BYTES, FACET_BYTES = 84, 50
FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
VERTEX = re.compile(r"vertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)


def read_stl(content: bytes, assets: Assets) -> list[Mesh]:
    """Read an STL file."""
    first = content[80:134]  # the count and the first facet of a binary file
    if b"\0" not in first or content.startswith(UTF_16):
        facets = re.split(r"[\r\n]", decode(content).lstrip(), maxsplit=1)[-1]  # without the name
        check_num_faces(facets.lower().count("vertex") // 3)
        corners = VERTEX.findall(facets)
        triangles = np.array(corners[: len(corners) // 3 * 3], dtype=float).reshape(-1, 3, 3)
        return [make_mesh(triangles)] if len(triangles) else []
    if len(content) < HEADER_BYTES:
        raise InputError("expected a header of 84 bytes, got less")
    num_facets = int.from_bytes(content[80:84], "little")
    available, trailing = divmod(len(content) - HEADER_BYTES, FACET_BYTES)
    if num_facets > available or num_facets == 0 or not trailing:
        num_facets = available  # the count is wrong, as in streamed exports
    check_num_faces(num_facets)
    facets = np.frombuffer(content, FACET, num_facets, HEADER_BYTES)
    return [make_mesh(facets["corners"].astype(float))] if num_facets else []

"""OFF, the Object File Format, with the header forms COFF, NOFF, STOFF and their combinations."""

import re

import numpy as np

from data.builder.mesh import GRAY, Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.polygons import triangulate
from data.builder.readers.text import split_lines
from utils.errors import InputError

HEADER = re.compile(r"((?:ST|C|N)*)(4)?OFF", re.IGNORECASE)


def read_off(content: bytes, assets: Assets) -> list[Mesh]:
    """Read an OFF file."""
    lines = [line.partition("#")[0].split() for line in split_lines(content)]
    lines = [words for words in lines if words]
    form = HEADER.match(lines[0][0]) if lines else None
    if form is None or "BINARY" in lines[0]:
        raise InputError("expected a text file that begins with OFF, COFF, NOFF or STOFF")
    if form[2]:
        raise InputError("expected three coordinates, got the four of 4OFF")
    counts = [lines[0][0][form.end() :], *lines[0][1:]]  # they may be on the header's line
    lines[0] = [word for word in counts if word]
    lines = lines if lines[0] else lines[1:]
    num_vertices, num_faces = (int(word) for word in lines[0][:2])
    rows = lines[1 : 1 + num_vertices]
    face_rows = lines[1 + num_vertices : 1 + num_vertices + num_faces]
    if len(rows) != num_vertices or len(face_rows) != num_faces:
        raise InputError(f"expected {num_vertices} vertices and {num_faces} faces, got fewer")
    vertices = np.array([[float(word) for word in row[:3]] for row in rows]).reshape(-1, 3)
    has_normals, has_uv = "N" in form[1].upper(), "ST" in form[1].upper()
    normals = [[float(word) for word in row[3:6]] for row in rows] if has_normals else None
    skip, end = 6 if has_normals else 3, -2 if has_uv else None
    vertex_colors = _colors([row[skip:end] for row in rows])
    sizes = [int(row[0]) for row in face_rows]
    corners = [
        int(word) for row, n in zip(face_rows, sizes, strict=True) for word in row[1 : n + 1]
    ]
    corners = np.array(corners, int)
    if len(corners) and not 0 <= corners.min() <= corners.max() < num_vertices:
        raise InputError(f"expected vertices below {num_vertices}, got {corners.max()}")
    face_colors = _colors([row[n + 1 :] for row, n in zip(face_rows, sizes, strict=True)])
    triangles, faces = triangulate(vertices[corners], np.array(sizes))
    index = corners[triangles]
    colors = np.broadcast_to(np.uint8(GRAY), (len(index), 3, 4))
    if vertex_colors is not None:
        colors = vertex_colors[index]
    elif face_colors is not None:
        colors = np.repeat(face_colors[faces, None], 3, axis=1)
    return [make_mesh(vertices[index], colors, normals and np.array(normals)[index])]


def _colors(rows: list[list[str]]) -> np.ndarray | None:
    """Return RGBA (N, 4) in [0, 255] of rows with three or four numbers, gray for the others."""
    colors = np.tile(np.float64(GRAY), (len(rows), 1))
    colored = [i for i, row in enumerate(rows) if len(row) in (3, 4)]
    if not colored:  # a single number is an index in a color map that the file doesn't hold
        return None
    rgb = np.array([[float(word) for word in rows[i][:3]] for i in colored])
    colors[colored, :3] = np.clip(rgb * (255 if rgb.max() <= 1 else 1), 0, 255)
    return np.rint(colors)

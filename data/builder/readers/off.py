"""OFF, the Object File Format, with the header forms COFF, NOFF, STOFF and their combinations."""

import re

import numpy as np

from data.builder.mesh import GRAY, Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.polygons import check_corners, check_num_faces, triangulate
from data.builder.readers.text import parse_rows, split_lines
from utils.errors import InputError

OFF_HEADER = re.compile(r"((?:ST|C|N)*)(4)?OFF", re.IGNORECASE)


def read_off(content: bytes, assets: Assets) -> list[Mesh]:
    """Read an OFF file."""
    form, rows, faces = _read_tables(content)
    vertices = np.array([row[:3] for row in rows]).reshape(-1, 3)
    normals = np.array([row[3:6] for row in rows]) if "N" in form else None
    skip, end = 6 if "N" in form else 3, -2 if "ST" in form else None
    vertex_colors = _colors([row[skip:end] for row in rows])
    corners = [row[1 : int(row[0]) + 1] for row in faces]
    sizes = np.array([len(row) for row in corners], int)
    corners = np.concatenate([[], *corners]).astype(int)
    check_corners(corners, len(vertices))
    face_colors = _colors([row[n + 1 :] for row, n in zip(faces, sizes, strict=True)])
    triangles, polygons = triangulate(vertices[corners], sizes)
    index = corners[triangles]
    colors = np.broadcast_to(np.uint8(GRAY), (len(index), 3, 4))
    if vertex_colors is not None:
        colors = vertex_colors[index]
    elif face_colors is not None:
        colors = np.repeat(face_colors[polygons, None], 3, axis=1)
    return [make_mesh(vertices[index], colors, None if normals is None else normals[index])]


def _read_tables(content: bytes) -> tuple[str, np.ndarray | list, np.ndarray | list]:
    """Return the letters before OFF, and the numbers of the vertices' and of the faces' lines."""
    lines = [line.partition("#")[0].rstrip() for line in split_lines(content)]
    lines = [line for line in lines if line]
    header = OFF_HEADER.match(lines[0]) if lines else None
    if header is None or "BINARY" in lines[0]:
        raise InputError("expected a text file that begins with OFF, COFF, NOFF or STOFF")
    if header[2]:
        raise InputError("expected three coordinates, got the four of 4OFF")
    counts = lines[0][header.end() :].split()  # they may be on the header's line
    body = lines[1:] if counts else lines[2:]
    num_vertices, num_faces = (int(word) for word in (counts or lines[1].split())[:2])
    check_num_faces(num_faces)
    if num_vertices < 0 or num_faces < 0 or len(body) < num_vertices + num_faces:
        raise InputError(f"expected {num_vertices} vertices and {num_faces} faces, got fewer")
    faces = body[num_vertices : num_vertices + num_faces]
    return header[1].upper(), parse_rows(body[:num_vertices]), parse_rows(faces)


def _colors(rows: list[np.ndarray]) -> np.ndarray | None:
    """Return RGBA (N, 4) in [0, 255] of rows with three or four numbers, gray for the others."""
    colors = np.tile(np.float64(GRAY), (len(rows), 1))
    colored = [i for i, row in enumerate(rows) if len(row) in (3, 4)]
    if not colored:  # a single number is an index in a color map that the file doesn't hold
        return None
    rgb = np.array([rows[i][:3] for i in colored])
    colors[colored, :3] = np.clip(rgb * (255 if rgb.max() <= 1 else 1), 0, 255)
    return np.rint(colors)

"""OFF, the Object File Format, with the header forms COFF, NOFF, STOFF and their combinations."""

import re

import numpy as np

from data.builder.mesh import GRAY, Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.polygons import corner_points, triangulate
from data.builder.readers.text import split_lines, take_rows

OFF_HEADER = re.compile(r"((?:ST|C|N)*)OFF", re.IGNORECASE)


def read_off(content: bytes, assets: Assets, name: str) -> list[Mesh]:
    """Read an OFF file."""
    form, rows, faces = _read_tables(content)
    vertices = np.array([row[:3] for row in rows]).reshape(-1, 3)
    normals = np.array([row[3:6] for row in rows]) if "N" in form else None
    skip, end = 6 if "N" in form else 3, -2 if "ST" in form else None
    vertex_colors = _colors([row[skip:end] for row in rows])
    sizes = np.array([row[0] for row in faces], int)
    corners = [row[1 : n + 1] for row, n in zip(faces, sizes, strict=True)]
    corners = np.concatenate([[], *corners]).astype(int)
    face_colors = _colors([row[n + 1 :] for row, n in zip(faces, sizes, strict=True)])
    triangles, polygons = triangulate(corner_points(vertices, corners), sizes)
    index = corners[triangles]  # (T, 3) vertices
    colors = GRAY
    if vertex_colors is not None:
        colors = vertex_colors[index]
    elif face_colors is not None:
        colors = np.repeat(face_colors[polygons, None], 3, axis=1)
    return [make_mesh(vertices[index], colors, None if normals is None else normals[index])]


def _read_tables(content: bytes) -> tuple[str, list[list[float]], list[list[float]]]:
    """Return the letters before OFF, and the numbers of each vertex and of each face."""
    lines = [line.partition("#")[0] for line in split_lines(content)]
    text = "\n".join(line for line in lines if line)
    form = ""
    if header := OFF_HEADER.match(text):  # some files begin with the counts
        form, text = header[1].upper(), text[header.end() :]
    lines = iter(text.strip().split("\n"))
    counts = take_rows(lines, 1, lambda row: 2)[0]
    width = 6 if "N" in form else 3
    vertices = take_rows(lines, int(counts[0]), lambda row: width)
    faces = take_rows(lines, int(counts[1]), lambda row: 1 + int(row[0]) if row else 1)
    return form, vertices, faces


def _colors(rows: list[list[float]]) -> np.ndarray | None:
    """Return RGBA (N, 4) in [0, 255] of rows with three or four numbers, gray for the others."""
    colors = np.tile(np.float64(GRAY), (len(rows), 1))
    colored = [i for i, row in enumerate(rows) if len(row) in (3, 4)]
    if not colored:  # a single number is an index in a color map that the file doesn't hold
        return None
    rgb = np.array([rows[i][:3] for i in colored])
    colors[colored, :3] = np.clip(rgb * (255 if rgb.max() <= 1 else 1), 0, 255)
    return np.rint(colors)

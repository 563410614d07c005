"""PLY, the Stanford polygon format: polygons, triangle strips, colors and textures."""

import re
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from data.builder.mesh import GRAY, Mesh, Texture, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.polygons import corner_points, strip_triangles, triangulate
from data.builder.readers.text import decode, take_rows
from utils.errors import InputError

COLOR_NAMES = ("red", "green", "blue")
NORMAL_NAMES = ("nx", "ny", "nz")
UV_NAMES = [("s", "t"), ("u", "v"), ("texture_u", "texture_v")]
TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass
class Element:
    """A table of the file.

    types: each property's type, or those of a list's values and of its length.
    values: each property's array (count,), or the rows of its lists.
    """

    count: int = 0
    types: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict = field(default_factory=dict)

    def columns(self, names: tuple[str, ...]) -> np.ndarray | None:
        """Return properties as the columns of an array (count, N), None if one is missing."""
        if not all(name in self.values for name in names):
            return None
        return np.stack([self.values[name] for name in names], axis=1)


def read_ply(content: bytes, assets: Assets, name: str) -> list[Mesh]:
    """Read a PLY file."""
    elements, image_names = _read_elements(content)
    vertex, face = elements["vertex"], elements.get("face", Element())
    vertices = vertex.columns(("x", "y", "z")).astype(float)
    polygons = face.values.get("vertex_indices", face.values.get("vertex_index", []))
    if not len(polygons) and "tristrips" in elements:
        strips = elements["tristrips"].values.get("vertex_indices", [])
        polygons = [triangle for strip in strips for triangle in _split_strip(strip)]
    sizes = np.array([len(polygon) for polygon in polygons], int)
    corners = np.concatenate([[], *polygons]).astype(int)
    triangles, owner = triangulate(corner_points(vertices, corners), sizes)
    index = corners[triangles]  # (T, 3) vertices

    normals, colors, face_colors = vertex.columns(NORMAL_NAMES), _colors(vertex), _colors(face)
    if colors is not None:
        colors = colors[index]
    elif face_colors is not None:
        colors = np.repeat(face_colors[owner, None], 3, axis=1)
    uv, image = _uv(vertex, face, corners, sizes)

    meshes = []
    for i in np.unique(image):
        where = image[owner] == i
        pixels = assets.get_image(image_names[i]) if 0 <= i < len(image_names) else None
        texture = None if pixels is None or uv is None else Texture(pixels)
        base = (255,) * 4  # a texture takes the place of the colors
        if texture is None:
            base = GRAY if colors is None else colors[where]
        normal = None if normals is None else normals[index[where]]
        part_uv = None if uv is None else uv[triangles[where]]
        meshes.append(make_mesh(vertices[index[where]], base, normal, part_uv, texture))
    return meshes


def _split_strip(strip: np.ndarray) -> list[np.ndarray]:
    """Return the triangles of strips that are separated by -1."""
    parts = np.split(strip, np.flatnonzero(strip < 0))
    return [row for part in parts for row in strip_triangles(part[part >= 0])]


def _read_elements(content: bytes) -> tuple[dict[str, Element], list[str]]:
    """Return the elements with their values, and the names of the textures."""
    end = re.search(rb"[\r\n]end_header[ \t]*(\r\n|\r|\n)", content)
    if not content.startswith(b"ply") or end is None:
        raise InputError("expected a header from 'ply' to 'end_header'")
    body = content[end.end() :]
    order, elements, images = "", {}, []
    for line in re.split(r"[\r\n]+", decode(content[: end.start()])):
        words = line.split()
        if words[:1] == ["format"]:
            order = ORDERS[words[1]]
        elif words[:1] == ["element"]:
            element = elements.setdefault(words[1], Element(int(words[2])))
        elif words[:2] == ["property", "list"]:
            element.types[words[4]] = (TYPES[words[3]], TYPES[words[2]])
        elif words[:1] == ["property"]:
            element.types[words[2]] = (TYPES[words[1]],)
        elif [word.lower() for word in words[:2]] == ["comment", "texturefile"]:
            images.append(line.split(None, 2)[2].strip().strip('"'))

    if not order:
        body = _encode_text(decode(body), elements)
    offset = 0
    for element in elements.values():
        if element.count and element.types:
            offset = _read_values(body, offset, order, element)
    return elements, images


def _encode_text(text: str, elements: dict[str, Element]) -> bytes:
    """Return a text's numbers as float64, so that it can be read as a binary body."""
    lines = iter([line for line in text.splitlines() if line.strip()])
    numbers: list[float] = []
    for element in elements.values():
        size = partial(_row_size, element)
        for row in take_rows(lines, element.count, size):
            numbers += row[: size(row)]  # MeshLab writes longer rows than its header says
    return np.array(numbers).tobytes()


def _row_size(element: Element, row: list[float]) -> int:
    """Return how many numbers a row has, as far as its first numbers tell."""
    size = 0
    for codes in element.types.values():
        if len(codes) == 2 and size < len(row):
            size += int(row[size])
        size += 1
    return size


def _read_values(body: bytes, offset: int, order: str, element: Element) -> int:
    """Fill an element's values from the body at an offset, and return the offset behind it."""
    # Read a table, if the lists of all rows are as long as those of the first one.
    layout = _row_layout(body, offset, order, element)
    end = offset + element.count * layout.itemsize
    if end <= len(body):
        rows = np.frombuffer(body, layout, element.count, offset)
        lists = [name for name, codes in element.types.items() if len(codes) == 2]
        if all((rows[f"{name} length"] == layout[name].shape).all() for name in lists):
            element.values = {name: rows[name] for name in element.types}
            return end

    rows = []
    for _ in range(element.count):
        layout = _row_layout(body, offset, order, element)
        rows.append(np.ndarray((), layout, body, offset))
        offset += layout.itemsize
    element.values = {name: [row[name] for row in rows] for name in element.types}
    return offset


def _row_layout(body: bytes, offset: int, order: str, element: Element) -> np.dtype:
    """Return the fields of the row at an offset; a list has a field for its length before it."""
    fields = []
    for name, codes in element.types.items():
        dtype, *length_dtype = (np.dtype(order + code if order else "f8") for code in codes)
        shape = ()
        if length_dtype:
            fields.append((f"{name} length", length_dtype[0]))
            shape = (int(np.ndarray((), length_dtype[0], body, offset)),)
            offset += length_dtype[0].itemsize
        fields.append((name, dtype, shape))
        offset += np.dtype(fields[-1:]).itemsize
    return np.dtype(fields)


def _colors(element: Element) -> np.ndarray | None:
    """Return the RGBA (count, 4) in [0, 255] of an element that has colors."""
    rgb = element.columns(COLOR_NAMES)
    if rgb is None:
        return None
    is_unit = element.types["red"][0].startswith("f") and rgb.max(initial=0) <= 1
    rgb = np.clip(rgb / (1 if is_unit else 255), 0, 1)
    return np.insert(np.rint(rgb * 255), 3, 255, axis=1)


def _uv(
    vertex: Element, face: Element, corners: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the uv (C, 2) of all corners, and each polygon's texture (P,), -1 for none."""
    image = np.zeros(len(sizes), int)
    for names in UV_NAMES:
        if (uv := vertex.columns(names)) is not None:
            return uv[corners], image
    if "texcoord" not in face.values:
        return None, image
    rows = face.values["texcoord"]  # u and v of each corner of each face
    has_uv = np.array([len(row) for row in rows]) == 2 * sizes
    uv = np.zeros((len(corners), 2))
    pairs = [row for row, is_complete in zip(rows, has_uv, strict=True) if is_complete]
    uv[np.repeat(has_uv, sizes)] = np.concatenate([[], *pairs]).reshape(-1, 2)
    if "texnumber" in face.values:
        image = np.array(face.values["texnumber"], int)
    return uv, np.where(has_uv, image, -1)

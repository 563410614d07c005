"""PLY, the Stanford polygon format, ASCII and binary."""

import re
from dataclasses import dataclass, field

import numpy as np

from data.builder.mesh import GRAY, Mesh, Texture, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.polygons import triangulate
from data.builder.readers.text import decode
from utils.errors import InputError

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
    "int64": "i8", "uint64": "u8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


@dataclass
class Element:
    """A table of the file; a property's type is one code, or the codes of a list and its length."""

    name: str
    count: int
    types: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict = field(default_factory=dict)  # arrays (count,); lists as (values, lengths)


def read_ply(content: bytes, assets: Assets) -> list[Mesh]:
    """Read a PLY file."""
    order, elements, image_names, body = _read_header(content)
    _read_elements(body, order, elements)
    vertex = elements["vertex"].values
    points = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(float)
    corners, sizes, faces = _polygons(elements, len(points))
    triangles, polygons = triangulate(points[corners], sizes)
    index = corners[triangles]  # (T, 3) vertices
    colors = _colors(elements["vertex"])
    if colors is not None:
        colors = colors[index]
    elif (face_colors := _colors(elements.get("face"))) is not None and len(faces):
        colors = np.repeat(face_colors[faces[polygons], None], 3, axis=1)
    normals = None
    if all(name in vertex for name in ("nx", "ny", "nz")):
        normals = np.stack([vertex[name] for name in ("nx", "ny", "nz")], axis=1)[index]
    uv, image = _uv(elements, index, triangles, faces[polygons], np.cumsum(sizes) - sizes)
    meshes = []
    for i in np.unique(image):
        where = image == i
        pixels = assets.get_image(image_names[i]) if 0 <= i < len(image_names) else None
        texture = None if pixels is None or uv is None else Texture(pixels)
        base = colors if colors is not None else np.uint8(GRAY if texture is None else [255] * 4)
        part = [None if a is None else a[where] for a in (normals, uv)]
        meshes.append(
            make_mesh(points[index[where]], base[where] if base.ndim > 1 else base, *part, texture)
        )
    return meshes


def _polygons(elements: dict[str, Element], num_points: int) -> tuple[np.ndarray, ...]:
    """Return the vertices of all corners, the sizes of the polygons and their faces, -1 for none.

    Triangle strips, separated by -1, follow the faces.
    """
    empty = (np.zeros(0, int), np.zeros(0, int))
    face = elements["face"].values if "face" in elements else {}
    corners, sizes = face.get("vertex_indices", face.get("vertex_index", empty))
    faces = np.arange(len(sizes))
    if "tristrips" in elements:
        strip, _ = next(iter(elements["tristrips"].values.values()), empty)
        strip = strip.astype(int)
        triples = np.stack([strip[:-2], strip[1:-1], strip[2:]], axis=1)
        position = np.arange(len(strip))  # within its own strip
        position -= np.maximum.accumulate(np.where(strip < 0, position + 1, 0))
        odd = position[: len(triples)] % 2 == 1
        triples[odd] = triples[odd][:, [1, 0, 2]]
        triples = triples[(triples >= 0).all(1)]
        corners = np.concatenate([corners, triples.ravel()])
        sizes = np.concatenate([sizes, np.full(len(triples), 3)])
        faces = np.concatenate([faces, np.full(len(triples), -1)])
    corners = corners.astype(int)
    if len(corners) and not 0 <= corners.min() <= corners.max() < num_points:
        raise InputError(f"expected vertices below {num_points}, got {corners.max()}")
    return corners, sizes, faces


def _colors(element: Element | None) -> np.ndarray | None:
    """Return the RGBA (count, 4) in [0, 255] of an element that has colors."""
    for prefix in ("", "diffuse_"):
        names = [f"{prefix}{name}" for name in ("red", "green", "blue")]
        if element and all(name in element.values for name in names):
            code = element.types[names[0]][0]
            rgb = np.stack([element.values[name] for name in names], axis=1).astype(float)
            is_unit = code[0] == "f" and rgb.max(initial=0) <= 1
            largest = 65535 if code == "u2" else 1 if is_unit else 255
            return np.insert(np.rint(np.clip(rgb / largest, 0, 1) * 255), 3, 255, axis=1)
    return None


def _uv(elements, index, triangles, faces, starts) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the uv (T, 3, 2) of triangles and the numbers (T,) of their textures."""
    image = np.zeros(len(index), int)
    vertex = elements["vertex"].values
    for names in UV_NAMES:
        if all(name in vertex for name in names):
            return np.stack([vertex[name] for name in names], axis=1)[index], image
    face = elements["face"].values if "face" in elements else {}
    if "texcoord" not in face or not len(index) or faces.min() < 0:
        return None, image
    values, lengths = face["texcoord"]  # u and v of each corner of each face
    first = np.cumsum(lengths) - lengths
    position = first[faces][:, None] + 2 * (triangles - starts[faces][:, None])
    has_uv = (lengths[faces] > 0)[:, None] & (position + 1 < len(values))
    position = np.where(has_uv, position, 0)
    uv = np.stack([values[position], values[position + 1]], axis=2) if len(values) > 1 else None
    if "texnumber" in face:
        image = np.asarray(face["texnumber"])[faces].astype(int)
    return uv, np.where(has_uv.all(1), image, -1)


def _read_header(content: bytes) -> tuple[str, dict[str, Element], list[str], bytes]:
    """Return the byte order, the elements, the names of textures, and what follows the header."""
    end = re.search(rb"(?<=[\r\n])end_header[ \t]*", content)
    if not content.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"ply") or end is None:
        raise InputError("expected a header from 'ply' to 'end_header'")
    start = end.end()
    newline = b"\r\n" if b"\r\n" in content[: end.start()] else content[start : start + 1]
    order, elements, images = None, {}, []
    for line in re.split(r"[\r\n]+", decode(content[: end.start()])):
        words = line.split()
        if words[:1] == ["format"]:
            order = ORDERS[words[1]]
        elif words[:1] == ["element"]:
            element = elements.setdefault(words[1], Element(words[1], int(words[2])))
        elif words[:2] == ["property", "list"]:
            element.types[words[4].lower()] = (TYPES[words[3]], TYPES[words[2]])
        elif words[:1] == ["property"]:
            element.types[words[2].lower()] = (TYPES[words[1]],)
        elif [word.lower() for word in words[:2]] == ["comment", "texturefile"]:
            images.append(line.split(None, 2)[2].strip().strip('"'))
    if order is None or "vertex" not in elements:
        raise InputError("expected a format and an element 'vertex' in the header")
    if any(not 0 <= element.count <= len(content) for element in elements.values()):
        raise InputError("expected as many elements as the header says, got fewer")
    return order, elements, images, content[start + len(newline) :]


def _read_elements(body: bytes, order: str, elements: dict[str, Element]) -> None:
    """Fill the values of all elements."""
    reader = _Binary(body, order) if order else _Ascii(body)
    for element in elements.values():
        if not element.count or not element.types:
            continue
        lists = [name for name, codes in element.types.items() if len(codes) == 2]
        rows = reader.table(element, reader.lengths(element, lists))
        if rows is not None:
            for name, codes in element.types.items():
                value = rows[name]
                lengths = np.full(element.count, value.shape[1] if value.ndim > 1 else 0)
                element.values[name] = (value.ravel(), lengths) if len(codes) == 2 else value
        else:
            _read_rows(reader, element)


def _read_rows(reader, element: Element) -> None:
    """Read an element whose lists vary in length, row by row."""
    columns: dict[str, list] = {name: [] for name in element.types}
    for _ in range(element.count):
        for name, codes in element.types.items():
            length = int(reader.take(codes[1], 1)[0]) if len(codes) == 2 else 1
            columns[name].append(reader.take(codes[0], length))
    for name, codes in element.types.items():
        values = np.concatenate(columns[name])
        lengths = np.array([len(row) for row in columns[name]])
        element.values[name] = (values, lengths) if len(codes) == 2 else values


class _Binary:
    """Values of a binary body."""

    def __init__(self, body: bytes, order: str):
        self.body, self.order, self.offset = body, order, 0

    def take(self, code: str, count: int) -> np.ndarray:
        size = count * int(code[1])
        if count < 0 or self.offset + size > len(self.body):
            raise InputError("expected more data: the file is cut off")
        values = np.frombuffer(self.body, self.order + code, count, self.offset)
        self.offset += size
        return values

    def lengths(self, element: Element, lists: list[str]) -> dict[str, int]:
        """Return the lengths of the first row's lists."""
        start, lengths = self.offset, {}
        for name, codes in element.types.items() if lists else ():
            length = int(self.take(codes[1], 1)[0]) if len(codes) == 2 else 1
            self.take(codes[0], length)
            if len(codes) == 2:
                lengths[name] = length
        self.offset = start
        return lengths

    def table(self, element: Element, lengths: dict[str, int]):
        """Return all rows at once if their lists have these lengths, else None."""
        fields = []
        for name, codes in element.types.items():
            if len(codes) == 2:
                fields.append((f"{name}\n", self.order + codes[1]))
                fields.append((name, self.order + codes[0], (lengths[name],)))
            else:
                fields.append((name, self.order + codes[0]))
        dtype = np.dtype(fields)
        if self.offset + dtype.itemsize * element.count > len(self.body):
            if lengths:
                return None
            raise InputError("expected more data: the file is cut off")
        rows = np.frombuffer(self.body, dtype, element.count, self.offset)
        if not all((rows[f"{name}\n"] == length).all() for name, length in lengths.items()):
            return None
        self.offset += dtype.itemsize * element.count
        return rows


class _Ascii:
    """Values of a text body."""

    def __init__(self, body: bytes):
        self.values = np.array(decode(body).split(), dtype=object)
        self.offset = 0

    def take(self, code: str, count: int) -> np.ndarray:
        if count < 0 or self.offset + count > len(self.values):
            raise InputError("expected more data: the file is cut off")
        values = self.values[self.offset : self.offset + count].astype(float)
        self.offset += count
        return values.astype(int) if code[0] in "iu" else values

    lengths = _Binary.lengths

    def table(self, element: Element, lengths: dict[str, int]):
        width = sum(1 + lengths.get(name, 0) for name in element.types)
        end = self.offset + width * element.count
        if end > len(self.values):
            if lengths:
                return None
            raise InputError("expected more data: the file is cut off")
        rows = self.values[self.offset : end].astype(float).reshape(element.count, width)
        columns, start = {}, 0
        for name, codes in element.types.items():
            if len(codes) == 2:
                if (rows[:, start] != lengths[name]).any():
                    return None
                columns[name] = rows[:, start + 1 : start + 1 + lengths[name]]
            else:
                columns[name] = rows[:, start]
            start += 1 + lengths.get(name, 0)
        self.offset = end
        return columns

"""PLY, the Stanford polygon format: polygons, triangle strips, colors and textures."""

import re
from dataclasses import dataclass, field

import numpy as np

from data.builder.mesh import GRAY, Mesh, Texture, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.polygons import check_corners, triangulate
from data.builder.readers.text import check_num_lines, decode, parse_numbers
from utils.errors import InputError

COLOR_NAMES = [
    ("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b")
]  # fmt: skip
UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
    "int64": "i8", "uint64": "u8",
}  # fmt: skip
MAX_ROWS = 600_000  # of lists of several lengths, as many as triangles
MAX_CELLS = 1_200_000  # of such rows; each takes 160 bytes and 10 us
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass
class Element:
    """A table of the file; a property's type is one code, or the codes of a list and its length."""

    name: str
    count: int
    types: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict = field(default_factory=dict)  # arrays (count,); lists as (values, lengths)


def read_header(content: bytes) -> tuple[str, dict[str, Element], list[str], bytes]:
    """Return the byte order, the elements, the names of textures, and what follows the header."""
    end = re.search(rb"(?<=[\r\n])end_header[ \t]*", content)
    if not content.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"ply") or end is None:
        raise InputError("expected a header from 'ply' to 'end_header'")
    start = end.end()
    is_crlf = content[start : start + 2] == b"\r\n" and b"\n" in content[: end.start()]
    newline = b"\r\n" if is_crlf else content[start : start + 1]
    order, elements, images = None, {}, []
    for line in re.split(r"[\r\n]+", decode(content[: end.start()])):
        words = line.split()
        if words[:1] == ["format"]:
            order = ORDERS[words[1]]
        elif words[:1] == ["element"]:
            element = elements.setdefault(words[1], Element(words[1], int(words[2])))
        elif words[:2] == ["property", "list"]:
            element.types[words[4].lower()] = (TYPES[words[3].lower()], TYPES[words[2].lower()])
        elif words[:1] == ["property"]:
            element.types[words[2].lower()] = (TYPES[words[1].lower()],)
        elif [word.lower() for word in words[:2]] == ["comment", "texturefile"]:
            images.append(line.split(None, 2)[2].strip().strip('"'))
    if order is None or "vertex" not in elements:
        raise InputError("expected a format and an element 'vertex' in the header")
    if any(not 0 <= element.count <= len(content) for element in elements.values()):
        raise InputError("expected as many elements as the header says, got fewer")
    return order, elements, images, content[start + len(newline) :]


def read_elements(body: bytes, order: str, elements: dict[str, Element]) -> None:
    """Fill the values of all elements."""
    present = [element for element in elements.values() if element.count and element.types]
    rows = _Rows(body, order, sum(element.count for element in present))
    for element in present:
        columns = rows.read_table(element) or rows.read_each(element)
        for (name, codes), (values, lengths) in zip(element.types.items(), columns, strict=True):
            element.values[name] = (values, lengths) if len(codes) == 2 else values


class _Rows:
    """The rows of all elements; those of a text as float64.

    A row is a line of a text unless there are too few lines: some exporters write longer lines
    than the header says.
    """

    def __init__(self, body: bytes, order: str, num_rows: int):
        self.content = body
        self.dtypes = {c: np.dtype(order + c if order else "f8") for c in TYPES.values()}
        self.offset = self.num_read = 0
        self.ends = None  # of the lines
        if not order:
            check_num_lines(body)
            lines = [line for line in decode(body).splitlines() if line.strip()]
            if len(lines) >= num_rows:
                lines = lines[:num_rows]
                self.ends = 8 * np.cumsum([len(line.split()) for line in lines])
            self.content = parse_numbers(" ".join(lines)).view("u1")

    def take(self, code: str, count: int) -> np.ndarray:
        end = self.offset + count * self.dtypes[code].itemsize
        if count < 0 or end > len(self.content):
            raise InputError("expected more data: the file is cut off")
        values = np.frombuffer(self.content, self.dtypes[code], count, self.offset)
        self.offset = end
        return values

    def read_row(self, element: Element) -> list[np.ndarray]:
        """Return the values of each property."""
        row = []
        for codes in element.types.values():
            length = int(self.take(codes[1], 1)[0]) if len(codes) == 2 else 1
            row.append(self.take(codes[0], length))
        if self.ends is not None:
            self.offset = int(self.ends[self.num_read])
        self.num_read += 1
        return row

    def read_table(self, element: Element) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Return the values and lengths of each property; None if the rows differ in length."""
        start, num_read = self.offset, self.num_read
        lengths = [len(values) for values in self.read_row(element)]
        self.offset, self.num_read = start, num_read
        fields, lists = [], {}
        for (name, codes), length in zip(element.types.items(), lengths, strict=True):
            if len(codes) == 2:
                lists[f"{name}\n"] = length
                fields.append((f"{name}\n", self.dtypes[codes[1]]))
            fields.append((name, self.dtypes[codes[0]], (length,)))
        dtype, last = np.dtype(fields), num_read + element.count - 1
        end = start + dtype.itemsize * element.count
        if end > len(self.content) and not lists:
            raise InputError("expected more data: the file is cut off")
        if end > len(self.content) or (self.ends is not None and self.ends[last] != end):
            return None
        rows = np.frombuffer(self.content, dtype, element.count, start)
        if not all((rows[name] == length).all() for name, length in lists.items()):
            return None
        self.offset, self.num_read = end, last + 1
        names = zip(element.types, lengths, strict=True)
        # Views where possible: with copies, a table of bytes would take nine times the file.
        return [
            (rows[name].reshape(-1), np.broadcast_to(length, element.count))
            for name, length in names
        ]

    def read_each(self, element: Element) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the values and lengths of each property, read row by row."""
        if element.count > MAX_ROWS or element.count * len(element.types) > MAX_CELLS:
            raise InputError(
                f"expected at most {MAX_ROWS} rows and {MAX_CELLS} cells of lists of several "
                f"lengths, got {element.count} rows of {len(element.types)} properties"
            )
        rows = [self.read_row(element) for _ in range(element.count)]
        columns = zip(*rows, strict=True)
        return [(np.concatenate(c), np.array([len(values) for values in c])) for c in columns]


def read_ply(content: bytes, assets: Assets) -> list[Mesh]:
    """Read a PLY file."""
    order, elements, image_names, body = read_header(content)
    read_elements(body, order, elements)
    vertex = elements["vertex"].values
    if ("face" not in elements and "tristrips" not in elements) or not vertex:
        return []
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
        base = np.uint8([255] * 4)  # a texture takes the place of the colors
        if texture is None:
            base = np.uint8(GRAY) if colors is None else colors
        part = [None if a is None else a[where] for a in (normals, uv)]
        meshes.append(
            make_mesh(points[index[where]], base[where] if base.ndim > 1 else base, *part, texture)
        )
    return meshes


def _polygons(elements: dict[str, Element], num_points: int) -> tuple[np.ndarray, ...]:
    """Return the vertices of all corners, the sizes of the polygons and their faces, -1 for none.

    Triangle strips, a row each or separated by -1, follow the faces.
    """
    empty = (np.zeros(0, int), np.zeros(0, int))
    face = elements["face"].values if "face" in elements else {}
    corners, sizes = face.get("vertex_indices", face.get("vertex_index", empty))
    faces = np.arange(len(sizes))
    if "tristrips" in elements:
        strip, lengths = next(iter(elements["tristrips"].values.values()), empty)
        strip = np.insert(strip.astype(int), np.cumsum(lengths), -1)
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
    check_corners(corners, num_points)
    return corners, sizes, faces


def _colors(element: Element | None) -> np.ndarray | None:
    """Return the RGBA (count, 4) in [0, 255] of an element that has colors."""
    for names in COLOR_NAMES:
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

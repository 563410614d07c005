"""The header and the tables of PLY files, ASCII and binary."""

import re
from dataclasses import dataclass, field

import numpy as np

from data.builder.readers.text import check_num_lines, decode, parse_numbers
from utils.errors import InputError

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
    num_rows = sum(element.count for element in elements.values() if element.types)
    reader = _Binary(body, order) if order else _Ascii(body, num_rows)
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
    if element.count > MAX_ROWS or element.count * len(element.types) > MAX_CELLS:
        raise InputError(
            f"expected at most {MAX_ROWS} rows and {MAX_CELLS} cells of lists of several lengths, "
            f"got {element.count} rows of {len(element.types)} properties"
        )
    columns: dict[str, list] = {name: [] for name in element.types}
    for _ in range(element.count):
        for name, codes in element.types.items():
            length = int(reader.take(codes[1], 1)[0]) if len(codes) == 2 else 1
            columns[name].append(reader.take(codes[0], length))
        reader.end_row()
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

    def end_row(self) -> None:
        """Go to the next row."""

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
    """Values of a text body, a row a line unless there are too few lines.

    Some exporters write longer lines than the header says.
    """

    def __init__(self, body: bytes, num_rows: int):
        check_num_lines(body)
        lines = [line for line in decode(body).splitlines() if line.strip()]
        self.ends = None
        if len(lines) >= num_rows:
            lines = lines[:num_rows]
            self.ends = np.cumsum([len(line.split()) for line in lines])
        self.values = parse_numbers(" ".join(lines))
        self.offset = self.row = 0

    def take(self, code: str, count: int) -> np.ndarray:
        if count < 0 or self.offset + count > len(self.values):
            raise InputError("expected more data: the file is cut off")
        values = self.values[self.offset : self.offset + count]
        self.offset += count
        return values.astype(int) if code[0] in "iu" else values

    lengths = _Binary.lengths

    def end_row(self) -> None:
        if self.ends is not None:
            self.offset = self.ends[self.row]
            self.row += 1

    def table(self, element: Element, lengths: dict[str, int]):
        width = sum(1 + lengths.get(name, 0) for name in element.types)
        end = self.offset + width * element.count
        if self.ends is not None and self.ends[self.row + element.count - 1] != end:
            return None
        if end > len(self.values):
            if lengths:
                return None
            raise InputError("expected more data: the file is cut off")
        rows = self.values[self.offset : end].reshape(element.count, width)
        columns, start = {}, 0
        for name, codes in element.types.items():
            if len(codes) == 2:
                if (rows[:, start] != lengths[name]).any():
                    return None
                columns[name] = rows[:, start + 1 : start + 1 + lengths[name]]
            else:
                columns[name] = rows[:, start]
            start += 1 + lengths.get(name, 0)
        self.offset, self.row = end, self.row + element.count
        return columns

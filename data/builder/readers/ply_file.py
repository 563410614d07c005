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

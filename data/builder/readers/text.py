"""Text of mesh files as it is in the wild: any encoding, line ends and comments."""

import re
from collections.abc import Callable, Iterator

import numpy as np

from utils.errors import InputError

COMMENT = re.compile(r"\s#.*")


def decode(content: bytes) -> str:
    """Decode UTF-8, or what is none as Latin-1."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def split_lines(content: bytes) -> list[str]:
    """Return the lines that are not empty, those continued by a backslash joined.

    White space inside a line becomes one space, and none is left at its ends.
    """
    text = re.sub(r"\\[ \t]*(\r\n|\r|\n)", " ", decode(content))
    lines = (" ".join(line.split()) for line in re.split(r"[\r\n]+", text))
    return [line for line in lines if line]


def split_keyword(line: str) -> tuple[str, str]:
    """Return the first word of a line of `split_lines` in lower case, and the rest.

    Comments are left out, but "usemtl #1" has a name.
    """
    keyword, _, rest = line.partition(" ")
    return keyword.lower(), COMMENT.sub("", rest) if "#" in rest else rest


def parse_table(lines: list[str], width: int) -> np.ndarray:
    """Return the numbers of lines, (N, W) with W at least `width`; NaN where a line has fewer."""
    rows = [[float(word) for word in line.partition("#")[0].split()] for line in lines]
    width = max(map(len, rows), default=width)
    table = np.full((len(rows), width), np.nan)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def take_rows(
    lines: Iterator[str], num_rows: int, num_needed: Callable[[list[float]], int]
) -> list[list[float]]:
    """Read rows of numbers, each from a new line.

    A row goes on in the next lines while it has fewer numbers than `num_needed` of what was read so
    far. What else is in its last line is kept.
    """
    rows = []
    for _ in range(num_rows):
        row: list[float] = []
        while len(row) < num_needed(row):
            line = next(lines, None)
            if line is None:
                raise InputError(f"expected {num_rows} rows, got {len(rows)}: the file is cut off")
            row += map(float, line.split())
        rows.append(row)
    return rows

"""Text of mesh files as it is in the wild: any encoding, line ends and comments."""

import codecs
import re

import numpy as np

from utils.errors import InputError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MAX_LINES = 4_000_000  # of the largest mesh, twice; each takes 100 bytes
COMMENT = re.compile(r"\s#.*")
WINDOWS_NAN = re.compile(r"-?1\.#\w+")  # as 1.#QNAN and -1.#IND00
ESCAPED = re.compile("[\udc80-\udcff]")


def decode(content: bytes) -> str:
    """Decode UTF-8, bytes that are none as Latin-1, or UTF-16 with a byte-order mark."""
    if content.startswith(UTF_16):
        return content.decode("utf-16", errors="replace")
    text = content.decode("utf-8-sig", errors="surrogateescape")  # U+DC80 to U+DCFF for such bytes
    return text if text.isascii() else ESCAPED.sub(lambda match: chr(ord(match[0]) - 0xDC00), text)


def split_lines(content: bytes) -> list[str]:
    """Return the lines, ended by LF, CR or both, those continued by a backslash joined.

    White space inside a line becomes one space, and none is left at its ends. Raises InputError
    for more than 4 million lines.
    """
    check_num_lines(content)
    text = decode(content).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    text = re.sub(r"\\ *\n", " ", text)
    return re.sub(r" *\n *", "\n", re.sub(r" {2,}", " ", text)).strip().split("\n")


def check_num_lines(content: bytes) -> None:
    """Raise InputError for a text of more than 4 million lines."""
    num_lines = max(content.count(b"\n"), content.count(b"\r"))
    if num_lines > MAX_LINES:
        raise InputError(f"expected at most {MAX_LINES} lines, got {num_lines}")


def parse_rows(lines: list[str]) -> np.ndarray | list[np.ndarray]:
    """Return the numbers of lines of `split_lines`, (N, width) if all have as many, else a list.

    Raises ValueError for a word that is no number.
    """
    if len({line.count(" ") for line in lines}) == 1:
        return parse_numbers(" ".join(lines)).reshape(len(lines), -1)
    return [parse_numbers(line) for line in lines]


def parse_numbers(text: str) -> np.ndarray:
    """Return the numbers of a text, float64, without a Python object for each."""
    try:
        return np.fromstring(text, sep=" ")
    except ValueError:  # word by word, to name the first that is no number
        words = re.finditer(r"\S+", WINDOWS_NAN.sub("nan", text))
        return np.fromiter((float(word[0]) for word in words), float)


def split_keyword(line: str) -> tuple[str, str]:
    """Return the first word of a line of `split_lines`, and the rest without a comment."""
    keyword, _, rest = line.partition(" ")
    if "#" in rest:
        rest = COMMENT.sub("", rest).strip()  # but "usemtl #1" has a name
    return keyword, rest

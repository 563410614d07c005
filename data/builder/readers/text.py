"""Text of mesh files as it is in the wild: any encoding, line ends and comments."""

import codecs
import re

COMMENT = re.compile(r"\s#.*")


def decode(content: bytes) -> str:
    """Decode UTF-8, UTF-16 with a byte-order mark, or else Latin-1, which accepts any bytes."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def split_lines(content: bytes) -> list[str]:
    """Return the lines, ended by LF, CR or both, those continued by a backslash joined.

    White space inside a line becomes one space, and none is left at its ends.
    """
    text = decode(content).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    text = re.sub(r"\\ *\n", " ", text)
    return re.sub(r" *\n *", "\n", re.sub(r" {2,}", " ", text)).strip().split("\n")


def split_keyword(line: str) -> tuple[str, str]:
    """Return the first word of a line of `split_lines`, and the rest without a comment."""
    keyword, _, rest = line.partition(" ")
    if "#" in rest:
        rest = COMMENT.sub("", rest).strip()  # but "usemtl #1" has a name
    return keyword, rest

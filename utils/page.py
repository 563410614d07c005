"""Pages that are one file: pictures, tables and voxels to turn, without network or server."""

import base64
import io
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from utils.files import atomic_write

HERE = Path(__file__).parent
# Should anything in the page ask for another file, the browser refuses.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_page(path: str | Path, title: str, body: list[str]) -> None:
    """Write pieces of HTML as a page with the style and the script that the pieces below need."""
    style, script = ((HERE / name).read_text("utf-8") for name in ("page.css", "viewer.js"))
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>",
        *body,
        f"<script>\n{script}</script>\n</body>\n</html>\n",
    ]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def picture(image: Image.Image, caption: str) -> str:
    """A picture with a caption of any text."""
    buffer = io.BytesIO()
    image.save(buffer, "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return _figure(f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}">', caption)


def voxels(occupied: np.ndarray, caption: str) -> str:
    """Occupied cells (D, D, D) to turn by dragging, with a caption of any text.

    All within one `together` turn together; outside of it nothing is drawn.
    """
    data = base64.b64encode(np.packbits(np.asarray(occupied, bool))).decode()
    return _figure(f'<canvas data-size="{len(occupied)}" data-voxels="{data}"></canvas>', caption)


def together(title: str, pieces: list[str]) -> str:
    """A section of the page whose voxels turn together."""
    content = "\n".join(pieces)
    return f'<section class="example" data-together><h3>{escape(title)}</h3>\n{content}\n</section>'


def table(head: list[str], rows: list[list[str]], means: int = 0) -> str:
    """A table of any texts; the last `means` rows are set off."""
    titles = "".join(f"<th>{escape(text)}</th>" for text in head)
    lines = [f"<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>"]
    for number, row in enumerate(rows):
        mark = ' class="mean"' if number >= len(rows) - means else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>")
    return "\n".join([*lines, "</tbody>\n</table>"])


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"

"""Results as one HTML file: tables and voxels to rotate, without network or server."""

import base64
import io
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from utils.draw import draw_view
from utils.files import atomic_write
from utils.results import Table, facts, metric_tables

EXAMPLES_PER_KIND = 3
HELP = "Drag the voxels to rotate them, or use Tab and the arrow keys."


class Example(NamedTuple):
    """An evaluated sample: views (V, S, S, 3) uint8, voxels (D, D, D) bool, IoUs (V,)."""

    kind: str
    name: str
    ious: np.ndarray
    views: np.ndarray
    target: np.ndarray
    prediction: np.ndarray


def choose_examples(ious: np.ndarray) -> list[tuple[str, int]]:
    """Choose the best, median and worst of N samples by their IoU, (N,) float.

    Returns at most three ("best", "median" or "worst", sample) of each kind, and no sample twice.
    """
    order = np.argsort(-ious, kind="stable").tolist()
    each = min(EXAMPLES_PER_KIND, max(1, len(order) // 3))
    middle = (len(order) - each) // 2
    kinds = dict.fromkeys(order[middle : middle + each], "median")
    kinds |= dict.fromkeys(order[-each:], "worst") | dict.fromkeys(order[:each], "best")
    return [(kinds[i], i) for i in order if i in kinds]


def write_report(path: Path, results: dict, examples: list[Example]) -> None:
    """Write report.html: what result.json holds, and examples with their voxels."""
    lines = (f"<li>{escape(name)}: {escape(text)}</li>" for name, text in facts(results).items())
    body = ["<ul>", *lines, "</ul>"]
    body += [_table(table) for table in metric_tables(results)]
    body += ["<h2>Samples</h2>", f"<p>{HELP}</p>"]
    for example in examples:
        figures = [
            _image(Image.fromarray(view), f"view {i}: IoU {iou:.3f}", width=128)
            for i, (view, iou) in enumerate(zip(example.views, example.ious, strict=True), start=1)
        ]
        grids = [_canvas(example.target, "ground truth"), _canvas(example.prediction, "prediction")]
        title = f"{example.kind}: {example.name}, IoU {example.ious[-1]:.3f}"
        body += _section(title, figures, grids)
    write_page(path, f"3D-R2N2: {results['network']}", body)


def write_prediction_page(
    path: str | Path, title: str, views: list[tuple[Image.Image, str]], occupied: np.ndarray
) -> None:
    """Write a page of V input views, images and captions, and the prediction after each of them.

    `views` are as of `draw_view`, and `occupied` is (V, D, D, D) bool.
    """
    columns = []
    for i, ((image, caption), grid) in enumerate(zip(views, occupied, strict=True), start=1):
        name = f"input {i}: {caption}" if caption else f"input {i}"
        view = _image(draw_view(image, caption), name, width=256)
        columns.append([view, _canvas(grid, f"after view {i}")])
    body = [f"<p>{HELP}</p>", *_section("Reconstruction", *columns, layout="columns")]
    write_page(path, title, body)


def write_page(path: str | Path, title: str, body: list[str]) -> None:
    """Write pieces of HTML as a page, with its style and script."""
    folder = Path(__file__).parent
    style, script = ((folder / name).read_text("utf-8") for name in ("report.css", "viewer.js"))
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>",
        *body,
        f"<script>\n{script}</script>\n</body>\n</html>\n",
    ]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines), "utf-8", "backslashreplace")


def _table(table: Table) -> str:
    lines = []
    for i, row in enumerate([table.header, *table.rows]):
        cell = "td" if i else "th"
        lines.append("<tr>" + "".join(f"<{cell}>{escape(x)}</{cell}>" for x in row) + "</tr>")
    return "\n".join([f"<h2>{escape(table.title)}</h2>", "<table>", *lines, "</table>"])


def _section(title: str, *groups: list[str], layout: str = "rows") -> list[str]:
    """Lay out groups of figures, whose voxels rotate together, as "rows" or "columns"."""
    return [
        f'<section class="{layout}" data-together>\n<h3>{escape(title)}</h3>',
        *(f"<div>{''.join(figures)}</div>" for figures in groups),
        '<button type="button">Reset the rotation</button></section>',
    ]


def _image(image: Image.Image, caption: str, width: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    attributes = f'width="{width}" alt="{escape(caption)}"'
    return _figure(f'<img src="data:image/png;base64,{data}" {attributes}>', caption)


def _canvas(occupied: np.ndarray, caption: str) -> str:
    data = base64.b64encode(np.packbits(occupied)).decode()
    voxels = f'data-size="{len(occupied)}" data-voxels="{data}"'
    label = f'role="img" tabindex="0" aria-label="voxels: {escape(caption)}"'
    return _figure(f"<canvas {voxels} {label}></canvas>", caption)


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"

"""A measurement as a page: tables, a curve, and objects to look at."""

from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from utils import page
from utils.published import NOTE, comparison
from utils.results import METRICS, available_metrics, summary_lines, table
from utils.visualize import draw_voxels

EXAMPLES = 3  # objects of each kind


class Example(NamedTuple):
    """An object as measured: its kind and name, views (V, S, S, 3) in bytes, voxels (D, D, D)."""

    kind: str
    name: str
    ious: np.ndarray  # (V,)
    views: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def choose_examples(ious: np.ndarray) -> list[tuple[str, int]]:
    """The best, the median and the worst of N objects by their IoUs (N,): kind and number of each.

    Three of each kind, fewer where there are fewer than nine objects, and none twice.
    """
    order = np.argsort(-ious, kind="stable").tolist()
    each = min(EXAMPLES, -(-len(order) // 3))
    middle = max(each, (len(order) - each) // 2)
    kinds = dict.fromkeys(order[-each:], "worst")
    kinds |= dict.fromkeys(order[middle : middle + each], "median")
    kinds |= dict.fromkeys(order[:each], "best")
    return [(kinds[number], number) for number in order if number in kinds]


def write_report(path: Path, results: dict, examples: list[Example]) -> Path:
    """Write report.html: what `result.json` says, and the examples to turn by dragging."""
    facts = (
        f"<li>{escape(name)}: {escape(value)}</li>"
        for name, value in summary_lines(results).items()
    )
    body = ["<ul>", *facts, "</ul>"]
    body += ["<h2>Networks</h2>"]
    head = ["network", "", "views", "loss", "IoU"]
    body += [page.table(head, [list(row) for row in comparison(results)]), f"<p>{escape(NOTE)}</p>"]
    body += ["<h2>IoU over the number of views</h2>", curve(table(results, "iou"))]
    counts = [str(count) for count in range(1, results["views"] + 1)]
    for metric in available_metrics(results):
        rows = [
            [name, str(objects), *(f"{value:.4f}" for value in values)]
            for name, objects, values in table(results, metric)
        ]
        body += [f"<h2>{METRICS[metric]}</h2>"]
        body += [page.table(["views", "objects", *counts], rows, means=2)]
    if sweep := results["sweep"]:
        body += [f"<h2>Thresholds, on the part {escape(sweep['part'])}</h2>"]
        pairs = zip(sweep["thresholds"], sweep["iou"], strict=True)
        rows = [[f"{threshold:g}", f"{iou:.4f}"] for threshold, iou in pairs]
        body += [page.table(["threshold", "IoU"], rows)]
    body += ["<h2>Objects</h2>", "<p>Drag the voxels at the right of a row to turn them.</p>"]
    body += [_gallery(example) for example in examples]
    page.write_page(path, f"3D-R2N2: {results['network']}", body)
    return path


def _gallery(example: Example) -> str:
    views = [
        page.picture(Image.fromarray(view), f"view {count}, IoU so far {iou:.3f}")
        for count, (view, iou) in enumerate(zip(example.views, example.ious, strict=True), 1)
    ]
    grids = {"ground truth": example.truth, "prediction": example.prediction}
    behind = [
        page.picture(draw_voxels(grid, azimuth=210), f"{name}, from behind")
        for name, grid in grids.items()
    ]
    turning = [page.voxels(grid, f"{name}, to turn") for name, grid in grids.items()]
    title = f"{example.kind}: {example.name}, IoU {example.ious[-1]:.3f}"
    return page.together(title, [*views, "<div></div>", *behind, *turning])


def curve(rows: list[tuple[str, int, list[float]]], width: int = 560, height: int = 320) -> str:
    """The rows of `utils.results.table` as lines over the number of views, as SVG.

    Categories are thin; the mean over samples is thick and that over categories dashed.
    """
    left, right, top, bottom = 48, 16, 12, 40
    most = max(max(values) for _, _, values in rows)
    ceiling = max(0.1, np.ceil(10 * most) / 10)
    views = len(rows[0][2])

    def place(count: int, value: float) -> tuple[float, float]:
        x = left + (width - left - right) * ((count - 1) / (views - 1) if views > 1 else 0.5)
        return x, height - bottom - (height - top - bottom) * value / ceiling

    parts = [f'<svg width="{width}" height="{height}" role="img" font-size="12" fill="none">']
    for tick in np.arange(0, ceiling + 0.05, 0.1):
        _, y = place(1, tick)
        parts.append(f'<path d="M{left} {y:.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" fill="#555" text-anchor="end">'
                     f"{tick:.1f}</text>")  # fmt: skip
    for count in range(1, views + 1):
        x, _ = place(count, 0)
        parts.append(f'<text x="{x:.1f}" y="{height - bottom + 16}" fill="#555" '
                     f'text-anchor="middle">{count}</text>')  # fmt: skip
    parts.append(f'<text x="{(left + width) / 2}" y="{height - 6}" fill="#555" '
                 'text-anchor="middle">views (thick: mean over samples, dashed: over categories)'
                 "</text>")  # fmt: skip
    strokes = ['stroke="#9bb8d6"'] * (len(rows) - 2)
    strokes += ['stroke="#1f4e80" stroke-width="3"', 'stroke="#1f4e80" stroke-dasharray="5 4"']
    for (name, _, values), stroke in zip(rows, strokes, strict=True):
        points = [place(count, value) for count, value in enumerate(values, 1)]
        parts.append(f"<g {stroke}><title>{escape(name)}</title>")
        parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in points]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"])

"""Results in the form of the paper's tables, beside the numbers that others published."""

from pathlib import Path

from utils.files import atomic_write
from utils.results import METRICS, available_metrics, summary_lines, table

# (network, loss, IoU, source): test part of ShapeNet, 5 views.
PUBLISHED = (
    ("3D-LSTM-1", 0.116, 0.499, "paper"),
    ("3D-GRU-1", 0.105, 0.540, "paper"),
    ("3D-LSTM-3", 0.106, 0.539, "paper"),
    ("3D-GRU-3", 0.091, 0.592, "paper"),
    ("Res3D-GRU-3", 0.080, 0.634, "paper"),
    ("3D-LSTM-3", 0.093, 0.591, "PyTorch seed"),
)
NOTE = (
    "Published numbers are copied, not measured here: means over ShapeNet's test part, 5 views. "
    "They compare with nothing but a measurement on that part of that split."
)


def comparison(results: dict) -> list[tuple[str, str, str, str, str]]:
    """Rows (network, where from, views, loss, IoU): what was measured, then what was published."""
    last = results["by_views"][-1]
    measured = [
        (
            results["network"],
            f"measured, {name.replace('_', ' ')}",
            str(results["views"]),
            f"{means['loss']:.3f}",
            f"{means['iou']:.3f}",
        )
        for name, means in last["overall"].items()
    ]
    return measured + [
        (network, f"published, {source}", "5", f"{loss:.3f}", f"{iou:.3f}")
        for network, loss, iou, source in PUBLISHED
    ]


def write_markdown(path: Path, results: dict) -> Path:
    """Write result.md: the paper's two tables, with every metric for each number of views."""
    lines = ["# Results", ""]
    lines += [f"- {name}: {_literal(value)}" for name, value in summary_lines(results).items()]
    lines += ["", "## Networks", ""]
    lines += _markdown(("network", "", "views", "loss", "IoU"), comparison(results))
    lines += ["", NOTE]
    counts = range(1, results["views"] + 1)
    head = ("category", "objects", *("1 view" if n == 1 else f"{n} views" for n in counts))
    for metric in available_metrics(results):
        rows = [
            (name, str(objects), *(f"{value:.3f}" for value in values))
            for name, objects, values in table(results, metric)
        ]
        lines += ["", f"## {METRICS[metric]}", "", *_markdown(head, rows)]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _markdown(head: tuple, rows: list[tuple]) -> list[str]:
    marks = ["---" if column == 0 else "---:" for column in range(len(head))]
    return ["| " + " | ".join(map(_literal, row)) + " |" for row in (head, marks, *rows)]


def _literal(text: str) -> str:
    """Text that Markdown shows as it is: the names of folders and files are anybody's."""
    return "".join("\\" + letter if letter in "\\`*_[]<>|&#" else letter for letter in text)

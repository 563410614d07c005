"""Tables of evaluation results: for a terminal, Markdown, HTML and LaTeX."""

from html import escape
from typing import NamedTuple

TITLES = {
    "iou": "IoU",
    "average_precision": "Average precision",
    "loss": "Loss",
    "f_score_1pct": "F-score at 1% of the grid's side",
    "f_score_2pct": "F-score at 2% of the grid's side",
    "f_score_5pct": "F-score at 5% of the grid's side",
    "chamfer_distance": "Chamfer distance (grid's side = 1)",
}
PUBLISHED = (  # network, loss, IoU, source: ShapeNet test split, 5 views
    ("3D-LSTM-1", 0.116, 0.499, "paper"),
    ("3D-GRU-1", 0.105, 0.540, "paper"),
    ("3D-LSTM-3", 0.106, 0.539, "paper"),
    ("3D-GRU-3", 0.091, 0.592, "paper"),
    ("Res3D-GRU-3", 0.080, 0.634, "paper"),
    ("3D-LSTM-3", 0.093, 0.591, "PyTorch port"),
)
NOTE = (
    "Published numbers are copied: means over ShapeNet's test split, 5 views. "
    "Only an evaluation on the same split compares with them."
)


LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


class Table(NamedTuple):
    """A titled table of text; the last `num_means` rows are means of the others."""

    title: str
    header: list[str]
    rows: list[list[str]]
    num_means: int = 0

    def text(self) -> str:
        """Render for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in (self.header, *self.rows)
        ]
        rule = "-" * len(lines[0])
        if self.num_means:
            lines.insert(len(lines) - self.num_means, rule)
        return "\n".join([self.title, lines[0], rule, *lines[1:]])

    def markdown(self) -> str:
        """Render as Markdown."""
        rule = ["---"] + ["---:"] * (len(self.header) - 1)
        lines = ["| " + " | ".join(row) + " |" for row in (self.header, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines])

    def html(self) -> str:
        """Render as HTML."""
        lines = []
        for i, row in enumerate([self.header, *self.rows]):
            cell = "td" if i else "th"
            mark = ' class="mean"' if i > len(self.rows) - self.num_means else ""
            cells = "".join(f"<{cell}>{escape(text)}</{cell}>" for text in row)
            lines.append(f"<tr{mark}>{cells}</tr>")
        return "\n".join([f"<h2>{escape(self.title)}</h2>", "<table>", *lines, "</table>"])

    def latex(self) -> str:
        """Render as rows of a LaTeX tabular, below a comment with the title."""
        lines = [f"% {self.title}"]
        for row in [self.header, *self.rows]:
            lines.append(" & ".join(cell.translate(LATEX) for cell in row) + r" \\")
        return "\n".join(lines)


def metric_title(metric: str) -> str:
    """Return the title of a metric of `results`."""
    name = metric.removesuffix("_at_best")
    at_best = " at the threshold chosen on validation" if metric != name else ""
    return TITLES.get(name, name) + at_best


def metric_tables(results: dict) -> list[Table]:
    """Tabulate each metric, a row for each category and a column for each number of views."""
    overall, intervals = results["overall"], results["confidence_intervals"]
    views = [f"{i} view{'s' if i > 1 else ''}" for i in range(1, results["num_views"] + 1)]
    tables = []
    for metric in [*overall["mean_over_samples"]][1:]:
        rows = [_row(name, row, metric) for name, row in results["categories"].items()]
        for name, row in overall.items():
            bounds = [f"{low:.3f}-{high:.3f}" for low, high in intervals[name][metric]]
            rows += [_row(name.replace("_", " "), row, metric), ["95% interval", "", *bounds]]
        header = ["category", "samples", *views]
        tables.append(Table(metric_title(metric), header, rows, num_means=4))
    if search := results["threshold_search"]:
        pairs = zip(search["thresholds"], search["iou"], strict=True)
        rows = [[f"{threshold:g}", f"{iou:.4f}"] for threshold, iou in pairs]
        tables.append(Table("Threshold, on the validation split", ["threshold", "IoU"], rows))
    return tables


def _row(name: str, row: dict, metric: str) -> list[str]:
    return [name, str(row["num_samples"]), *(f"{mean:.4f}" for mean in row[metric])]


def comparison_table(results: dict) -> Table:
    """Tabulate the overall means above published ones."""
    num_views = str(results["num_views"])
    rows = []
    for name, means in results["overall"].items():
        network = f"{results['network']}, {name.replace('_', ' ')}"
        rows.append([network, num_views, f"{means['loss'][-1]:.3f}", f"{means['iou'][-1]:.3f}"])
    rows += [
        [f"{network}, published ({source})", "5", f"{loss:.3f}", f"{iou:.3f}"]
        for network, loss, iou, source in PUBLISHED
    ]
    return Table("Comparison with published numbers", ["network", "views", "loss", "IoU"], rows)


def facts(results: dict) -> dict[str, str]:
    """Describe what was evaluated, and how."""
    split_file = results["split_file"] or "sorted 80/20"
    lines = {
        "weights": f"{results['weights']} ({results['network']})",
        "samples": f"{results['num_samples']} in split '{results['split']}' of "
        f"{results['dataset']} ({split_file})",
        "checksum": f"sha256 {results['checksum']}",
        "threshold": f"{results['threshold']:g}",
    }
    if search := results["threshold_search"]:
        lines["best threshold"] = (
            f"{search['best']:g} of {len(search['thresholds'])}, with IoU {max(search['iou']):.4f} "
            f"on {search['num_samples']} samples in split 'val'"
        )
    if spread := results["view_orders"]:
        lines["order of views"] = (
            f"IoU {spread['min']:.4f} to {spread['max']:.4f} in {len(spread['orders'])} random "
            f"orders of {results['num_views']} views, standard deviation {spread['std']:.4f}, of a "
            f"sample {spread['sample_std']:.4f} on average"
        )
    return lines


def format_results(results: dict) -> str:
    """Format what was evaluated and the table of each metric for a terminal."""
    lines = [f"{name + ':':<16}{value}" for name, value in facts(results).items()]
    return "\n\n".join(["\n".join(lines), *(table.text() for table in metric_tables(results))])

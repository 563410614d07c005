"""Evaluation results: means, confidence intervals, tables and files.

`results`, which result.json holds, is a dictionary of

- "network", "weights", "dataset": the network's name and two paths;
- "split", "split_file", "checksum": what was evaluated, the file of the split (empty: the dataset's
  default) and the SHA-256 of the sorted sample names;
- "num_samples" N, "num_views" V and "threshold";
- "mirror": whether the results from the mirrored views were averaged in;
- "threshold_search": null, or how `choose_threshold` chose the threshold on the validation split;
- "categories": {name: {"num_samples": n, "iou": [V means], "loss": [V means], ...}}, the means for
  1, 2, ... V input views;
- "overall": the same for "mean_over_samples" and "mean_over_categories";
- "confidence_intervals": their 95% intervals, {"mean_over_samples": {"iou": [V pairs of low and
  high], ...}, ...}, 1.96 standard errors from the mean; null where a mean has only one sample to
  tell how samples vary.

utils/metrics.py defines the metrics.
"""

import csv
import hashlib
import io
import itertools
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.errors import InputError
from utils.files import atomic_write, read_json

TITLES = {
    "iou": "IoU",
    "average_precision": "Average precision",
    "loss": "Loss",
    "f_score_1pct": "F-score at 1% of the grid's side",
    "f_score_2pct": "F-score at 2% of the grid's side",
    "f_score_5pct": "F-score at 5% of the grid's side",
    "chamfer_distance": "Chamfer distance (grid's side = 1)",
}


def checksum(names: list[str]) -> str:
    """Return the SHA-256 of sample names in their order."""
    return hashlib.sha256("\n".join(names).encode(errors="backslashreplace")).hexdigest()


def make_results(
    values: dict[str, np.ndarray], names: list[str], categories: list[str], **settings
) -> dict:
    """Average each metric over samples, per category and overall.

    Args:
        values (dict): For each metric, (N, V) float: N samples, 1, 2, ... V input views.
        names (list[str]): "category/model" of each sample.
        categories (list[str]): The name of each sample's category.
        **settings: The other keys of `results`.

    Returns:
        dict: `results`, as documented above.
    """
    labels = np.array(categories)

    def means(selected: np.ndarray) -> dict:
        rows = {name: value[selected].mean(0, dtype=float) for name, value in values.items()}
        return {"num_samples": int(selected.sum())} | {n: row.tolist() for n, row in rows.items()}

    rows = {name: means(labels == name) for name in sorted(set(categories))}
    over_samples = means(np.full(len(labels), True))
    over_categories = {"num_samples": len(labels)}
    for name in values:
        over_categories[name] = np.mean([row[name] for row in rows.values()], axis=0).tolist()
    return settings | {
        "checksum": checksum(sorted(names)),
        "num_samples": len(names),
        "num_views": values["iou"].shape[1],
        "categories": rows,
        "overall": {"mean_over_samples": over_samples, "mean_over_categories": over_categories},
        "confidence_intervals": confidence_intervals(values, labels),
    }


def confidence_intervals(values: dict[str, np.ndarray], labels: np.ndarray) -> dict:
    """Return the 95% confidence intervals of both means, as `results` has them.

    `values` has (N, V) float for each metric, and `labels` the category of each sample, (N,) str.
    """
    categories = [labels == label for label in np.unique(labels)]
    groups = {"mean_over_samples": [labels == labels], "mean_over_categories": categories}
    intervals = {}
    for name, parts in groups.items():
        if min(part.sum() for part in parts) == 1:  # one sample does not show how samples vary
            intervals[name] = None
            continue
        intervals[name] = {}
        for metric, value in values.items():
            means = np.mean([value[part].mean(0, dtype=float) for part in parts], axis=0)
            variances = [value[part].var(0, dtype=float, ddof=1) / part.sum() for part in parts]
            margins = 1.96 * np.sqrt(np.sum(variances, axis=0)) / len(parts)  # (V,)
            intervals[name][metric] = np.stack([means - margins, means + margins], 1).tolist()
    return intervals


def choose_threshold(ious: np.ndarray, thresholds: list[float]) -> dict:
    """Choose the threshold with the highest mean IoU, the lowest of several.

    Args:
        ious (ndarray): (N, T) float, at each of T thresholds.
        thresholds (list[float]): In (0, 1], ascending.

    Returns:
        dict: "num_samples" N, "thresholds", "iou" (the T means) and "best".
    """
    means = ious.mean(0, dtype=float).tolist()
    best = thresholds[int(np.argmax(means))]
    return {"num_samples": len(ious), "thresholds": [*thresholds], "iou": means, "best": best}


def printable(text: str) -> str:
    """Escape what is not valid UTF-8 in the name of a file."""
    return text.encode("utf-8", "backslashreplace").decode()


class Table(NamedTuple):
    """A titled table of text."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """Render as Markdown with aligned columns, which a terminal shows as well."""
        rows = [[escape_markdown(cell) for cell in row] for row in (self.header, *self.rows)]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines = [
            " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in (rows[0], rule, *rows[1:])
        ]
        return "\n".join([f"## {self.title}", "", *(f"| {line} |" for line in lines)])


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\|<>&*`\[\]])", r"\\\1", " ".join(text.split()))


def metric_tables(results: dict) -> list[Table]:
    """Tabulate each metric, a row for each category and a column for each number of views."""
    views = [f"{i} view{'s' if i > 1 else ''}" for i in range(1, results["num_views"] + 1)]
    metrics = [name for name in results["overall"]["mean_over_samples"] if name != "num_samples"]
    tables = []
    for metric in metrics:
        rows = [_row(name, row, metric) for name, row in results["categories"].items()]
        for name, row in results["overall"].items():
            rows.append(_row(name.replace("_", " "), row, metric))
            if intervals := results["confidence_intervals"][name]:
                bounds = (f"{low:.3f}-{high:.3f}" for low, high in intervals[metric])
                rows.append(["95% interval", "", *bounds])
        header = ["category", "samples", *views]
        tables.append(Table(TITLES.get(metric, metric), header, rows))
    return tables


def _row(name: str, row: dict, metric: str) -> list[str]:
    return [name, str(row["num_samples"]), *(f"{mean:.4f}" for mean in row[metric])]


def facts(results: dict) -> dict[str, str]:
    """Describe what was evaluated, and how."""
    split_file = f" ({results['split_file']})" if results["split_file"] else ""
    lines = {
        "weights": f"{results['weights']} ({results['network']})",
        "samples": f"{results['num_samples']} in split '{results['split']}' of "
        f"{results['dataset']}{split_file}",
        "checksum": f"sha256 {results['checksum']}",
        "threshold": f"{results['threshold']:g}",
    }
    if results["mirror"]:
        lines["views"] = "also mirrored, and the results averaged"
    if search := results["threshold_search"]:
        lines["threshold"] += f", chosen on {search['num_samples']} samples in split 'val'"
    return lines


def format_results(results: dict) -> str:
    """Format what was evaluated and the table of each metric as Markdown."""
    lines = (f"- {name}: {escape_markdown(text)}" for name, text in facts(results).items())
    tables = (table.markdown() for table in metric_tables(results))
    return "\n\n".join(["\n".join(lines), *tables])


def results_dir(parent: Path, results: dict) -> Path:
    """Choose a folder that doesn't hold the results of another evaluation."""
    name = f"{results['split']}-{Path(results['weights']).stem}"
    for i in itertools.count(1):
        folder = parent / (name if i == 1 else f"{name}-{i}")
        path = folder / "result.json"
        if not path.exists():
            return folder
        keys = "weights dataset split split_file checksum num_views mirror threshold".split()
        with suppress(InputError, KeyError, TypeError):  # damaged, or of another program
            earlier = read_json(path)
            if all(earlier[key] == results[key] for key in keys):
                return folder


def write_results(
    folder: Path, results: dict, values: dict[str, np.ndarray], names: list[str]
) -> None:
    """Write result.json, result.md and per_sample.csv.

    `results`, `values` and `names` are those of `make_results`. The CSV file has a row for each
    sample, the worst first: its name and columns METRIC_V_views.
    """
    texts = {
        "result.json": json.dumps(results, indent=2) + "\n",
        "result.md": f"# Results\n\n{format_results(results)}\n",
        "per_sample.csv": _csv(values, names),
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, "utf-8", "backslashreplace")  # names need not be UTF-8


def _csv(values: dict[str, np.ndarray], names: list[str]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    columns = [f"{name}_{i + 1}_views" for name in values for i in range(values[name].shape[1])]
    writer.writerow(["sample", *columns])
    for i in np.argsort(values["iou"][:, -1], kind="stable"):
        writer.writerow([names[i], *(f"{x:.6f}" for value in values.values() for x in value[i])])
    return lines.getvalue()

"""Evaluation results: means, tables and files.

`results`, which result.json holds, is a dictionary of

- "network", "weights", "dataset": the network's name and two paths;
- "split", "split_file", "checksum": what was evaluated, the file of the split (empty: sorted 80/20)
  and the SHA-256 of the sorted sample names;
- "num_samples" N, "num_views" V and "threshold";
- "threshold_search": null, or what `choose_threshold` found on the validation split;
- "categories": {name: {"num_samples": n, "iou": [V means], "loss": [V means], ...}}, the means for
  1, 2, ... V input views;
- "overall": the same for "mean_over_samples" and "mean_over_categories".
"""

import csv
import hashlib
import io
import itertools
import json
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from utils.files import atomic_write

TITLES = {
    "iou": "IoU",
    "iou_at_best": "IoU at the threshold chosen on validation",
    "average_precision": "Average precision",
    "loss": "Loss",
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
        "checksum": checksum(names),
        "num_samples": len(names),
        "num_views": values["iou"].shape[1],
        "categories": rows,
        "overall": {"mean_over_samples": over_samples, "mean_over_categories": over_categories},
    }


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


def checksum(names: list[str]) -> str:
    """Hash sample names, sorted, one per line, with SHA-256."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def printable(text: str) -> str:
    """Escape what is not valid UTF-8 in the name of a file."""
    return text.encode("utf-8", "backslashreplace").decode()


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


def metric_tables(results: dict) -> list[Table]:
    """Tabulate each metric, a row for each category and a column for each number of views."""
    overall = {name.replace("_", " "): row for name, row in results["overall"].items()}
    views = [f"{i} view{'s' if i > 1 else ''}" for i in range(1, results["num_views"] + 1)]
    tables = []
    for metric in [*results["overall"]["mean_over_samples"]][1:]:
        rows = [
            [name, str(row["num_samples"]), *(f"{mean:.4f}" for mean in row[metric])]
            for name, row in (results["categories"] | overall).items()
        ]
        header = ["category", "samples", *views]
        tables.append(Table(TITLES.get(metric, metric), header, rows, num_means=2))
    if search := results["threshold_search"]:
        pairs = zip(search["thresholds"], search["iou"], strict=True)
        rows = [[f"{threshold:g}", f"{iou:.4f}"] for threshold, iou in pairs]
        tables.append(Table("Threshold, on the validation split", ["threshold", "IoU"], rows))
    return tables


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
    return lines


def format_results(results: dict) -> str:
    """Format what was evaluated and the table of each metric for a terminal."""
    lines = [f"{name + ':':<16}{value}" for name, value in facts(results).items()]
    return "\n\n".join(["\n".join(lines), *(table.text() for table in metric_tables(results))])


def results_dir(parent: Path, results: dict) -> Path:
    """Choose a folder that doesn't hold the results of other weights, samples or dataset."""
    name = f"{results['split']}-{Path(results['weights']).stem}"
    for i in itertools.count(1):
        folder = parent / (name if i == 1 else f"{name}-{i}")
        path = folder / "result.json"
        if not path.exists() or _is_same_evaluation(path, results):
            return folder


def _is_same_evaluation(path: Path, results: dict) -> bool:
    try:
        earlier = json.loads(path.read_text("utf-8"))
        keys = ("weights", "dataset", "split", "checksum")
        return all(earlier[key] == results[key] for key in keys)
    except (KeyError, RecursionError, TypeError, ValueError):  # damaged, or of another program
        return False


def write_results(
    folder: Path, results: dict, values: dict[str, np.ndarray], names: list[str]
) -> None:
    """Write result.json, result.md, result.mat and per_sample.csv, worst sample first.

    Args:
        folder (Path): Where to write them.
        results (dict): As documented above.
        values (dict): For each metric, (N, V) float.
        names (list[str]): "category/model" of each sample.
    """
    markdown = ["# Results", "\n".join(f"- {key}: {text}" for key, text in facts(results).items())]
    markdown += [comparison_table(results).markdown(), NOTE]
    markdown += [table.markdown() for table in metric_tables(results)]
    texts = {
        "result.json": json.dumps(results, indent=2) + "\n",
        "result.md": "\n\n".join(markdown) + "\n",
        "per_sample.csv": _csv(values, names),
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    arrays = {
        "samples": np.array(names, object),
        "categories": np.array([*results["categories"]], object),
        "threshold": results["threshold"],
    }
    for metric, value in values.items():
        arrays[f"sample_{metric}"] = value  # (N, V)
        rows = results["categories"].values()
        arrays[f"category_{metric}"] = np.array([row[metric] for row in rows])
        for name, row in results["overall"].items():
            arrays[f"{name}_{metric}"] = np.array(row[metric])
    with atomic_write(folder / "result.mat") as temporary:
        scipy.io.savemat(temporary, arrays, appendmat=False)


def _csv(values: dict[str, np.ndarray], names: list[str]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    columns = [f"{name}_{i + 1}_views" for name in values for i in range(values[name].shape[1])]
    writer.writerow(["sample", *columns])
    for i in np.argsort(values["iou"][:, -1], kind="stable"):
        writer.writerow([names[i], *(f"{x:.6f}" for value in values.values() for x in value[i])])
    return lines.getvalue()

"""Evaluation results: means, confidence intervals and files.

`results`, which result.json holds, is a dictionary of

- "network", "weights", "dataset": the network's name and two paths;
- "split", "split_file", "checksum": what was evaluated, the file of the split (empty: sorted 80/20)
  and the SHA-256 of the sorted sample names;
- "num_samples" N, "num_views" V and "threshold";
- "threshold_search": null, or what `choose_threshold` found on the validation split;
- "view_orders": null, or what `view_order_spread` found with --permutations;
- "categories": {name: {"num_samples": n, "iou": [V means], "loss": [V means], ...}}, the means for
  1, 2, ... V input views;
- "overall": the same for "mean_over_samples" and "mean_over_categories";
- "confidence_intervals": their 95% intervals, {"mean_over_samples": {"iou": [V pairs of low and
  high], ...}, ...}, from 2,000 bootstrap resamples of the samples (of each category, for the mean
  over categories).

The metrics are "iou", "average_precision" and "loss"; with --surface "f_score_1pct",
"f_score_2pct", "f_score_5pct" and "chamfer_distance" (utils/metrics.py defines them); and with
--thresholds "iou_at_best" and so on, at the threshold chosen on validation.

per_sample.csv has a row for each sample, the worst first: its name and columns METRIC_V_views.
"""

import csv
import hashlib
import io
import itertools
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import scipy.io

from utils.errors import InputError
from utils.files import atomic_write, read_json
from utils.tables import NOTE, comparison_table, facts, metric_tables

NUM_RESAMPLES = 2000
MAX_RESULT_BYTES = 2**28  # a category takes 2 kB


def metric_values(evaluation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name the metrics of an evaluation at one threshold, or at that and the best: each (N, V).

    Args:
        evaluation (dict): For each metric, (N, V) or (N, V, T) float, T of 1 or 2.
    """
    values = {}
    for name, value in sorted(evaluation.items(), key=lambda item: -item[1].ndim):
        at_thresholds = np.moveaxis(np.atleast_3d(value), -1, 0)  # one, or two, of (N, V)
        values |= dict(zip((name, f"{name}_at_best"), at_thresholds, strict=False))
    return values


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
        "confidence_intervals": confidence_intervals(values, labels),
    }


def confidence_intervals(values: dict[str, np.ndarray], labels: np.ndarray) -> dict:
    """Bootstrap the 95% confidence intervals of both means, as `results` has them.

    `values` has (N, V) float for each metric, and `labels` the category of each sample, (N,) str.
    """
    rng = np.random.default_rng(0)
    columns = np.concatenate([*values.values()], axis=1).astype(float)  # (N, metrics * V)

    def resampled_means(rows: np.ndarray) -> np.ndarray:
        n = len(rows)
        counts = (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(NUM_RESAMPLES))
        return np.stack([count @ rows for count in counts]) / n

    of_categories = [resampled_means(columns[labels == label]) for label in np.unique(labels)]
    means = {
        "mean_over_samples": resampled_means(columns),
        "mean_over_categories": np.mean(of_categories, axis=0),
    }
    intervals = {}
    for name, draws in means.items():
        bounds = np.quantile(draws, [0.025, 0.975], axis=0).T  # (metrics * V, 2)
        parts = np.split(bounds, len(values))
        intervals[name] = {m: part.tolist() for m, part in zip(values, parts, strict=True)}
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


def random_orders(num_views: int, num_orders: int) -> list[list[int]]:
    """Return random permutations of the views, the same on every call."""
    rng = np.random.default_rng(0)
    return [rng.permutation(num_views).tolist() for _ in range(num_orders)]


def view_order_spread(ious: np.ndarray, orders: list[list[int]]) -> dict:
    """Describe how much the IoU from all views depends on their order.

    Args:
        ious (ndarray): (N, P) float, of N samples in each of P orders.
        orders (list): The P permutations of the views.

    Returns:
        dict: "orders", "iou" (the P means over samples), their "mean", "std", "min" and "max", and
            "sample_std", the mean over samples of the standard deviation over orders.
    """
    means = ious.mean(0, dtype=float)
    return {
        "orders": orders,
        "iou": means.tolist(),
        **{name: float(getattr(means, name)()) for name in ("mean", "std", "min", "max")},
        "sample_std": float(ious.std(1, dtype=float).mean()),
    }


def checksum(names: list[str]) -> str:
    """Hash sample names, sorted, one per line, with SHA-256."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def printable(text: str) -> str:
    """Escape what is not valid UTF-8 in the name of a file."""
    return text.encode("utf-8", "backslashreplace").decode()


def results_dir(parent: Path, results: dict) -> Path:
    """Choose a folder that doesn't hold the results of other weights, samples, views or dataset."""
    name = f"{results['split']}-{Path(results['weights']).stem}"
    for i in itertools.count(1):
        folder = parent / (name if i == 1 else f"{name}-{i}")
        path = folder / "result.json"
        if not path.exists():
            return folder
        keys = ("weights", "dataset", "split", "split_file", "checksum", "num_views")
        with suppress(InputError, KeyError, TypeError):  # damaged, or of another program
            earlier = read_json(path, MAX_RESULT_BYTES)
            if all(earlier[key] == results[key] for key in keys):
                return folder


def write_results(
    folder: Path, results: dict, values: dict[str, np.ndarray], names: list[str]
) -> None:
    """Write result.json, .md, .tex and .mat, and per_sample.csv with the worst sample first.

    `results`, `values` and `names` are those of `make_results`.
    """
    markdown = ["# Results", "\n".join(f"- {key}: {text}" for key, text in facts(results).items())]
    comparison, tables = comparison_table(results), metric_tables(results)
    markdown += [comparison.markdown(), NOTE]
    markdown += [table.markdown() for table in tables]
    texts = {
        "result.json": json.dumps(results, indent=2) + "\n",
        "result.md": "\n\n".join(markdown) + "\n",
        "result.tex": "\n\n".join(table.latex() for table in [comparison, *tables]) + "\n",
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

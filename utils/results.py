"""What a measurement says: means per category and overall, as tables and as files."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import scipy.io

from utils.files import atomic_write

METRICS = {
    "iou": "IoU",
    "iou_at_best": "IoU at the threshold chosen on validation",
    "average_precision": "Average precision",
    "loss": "Loss",
}


def summarise(values: dict[str, np.ndarray], categories: list[str]) -> list[dict]:
    """Means of each metric's values (N, V) for 1, 2, ... V views.

    `categories` names the category of each object. Returns V times {"views", "categories":
    {name: means}, "overall": {"mean_over_samples": means, "mean_over_categories": means}}; means
    holds "objects" and the metrics.
    """
    labels = np.array(categories)
    everything = np.ones(len(labels), bool)

    def means(chosen: np.ndarray, view: int) -> dict:
        of_chosen = {
            name: float(value[chosen, view].mean(dtype=float)) for name, value in values.items()
        }
        return {"objects": int(chosen.sum())} | of_chosen

    summaries = []
    for view in range(next(iter(values.values())).shape[1]):
        rows = {name: means(labels == name, view) for name in sorted(set(categories))}
        over_categories = {"objects": len(labels)} | {
            name: float(np.mean([row[name] for row in rows.values()])) for name in values
        }
        overall = {
            "mean_over_samples": means(everything, view),
            "mean_over_categories": over_categories,
        }
        summaries.append({"views": view + 1, "categories": rows, "overall": overall})
    return summaries


def choose_threshold(ious: np.ndarray, thresholds: tuple[float, ...]) -> dict:
    """The threshold with the highest mean of IoUs (N, T): the lowest, where several have it.

    Returns {"thresholds", "iou": the T means, "best": the threshold}.
    """
    means = ious.mean(0, dtype=float).tolist()
    best = thresholds[int(np.argmax(means))]
    return {"thresholds": list(thresholds), "iou": means, "best": best}


def checksum(names: list[str]) -> str:
    """SHA-256 of "category/model" names, sorted, one a line: which objects were measured."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def available_metrics(results: dict) -> list[str]:
    means = results["by_views"][0]["overall"]["mean_over_samples"]
    return [name for name in METRICS if name in means]


def table(results: dict, metric: str) -> list[tuple[str, int, list[float]]]:
    """A metric as rows (name, objects, value for each number of views); the means come last."""
    by_views = [{**one["categories"], **_means(one)} for one in results["by_views"]]
    return [
        (name, row["objects"], [one[name][metric] for one in by_views])
        for name, row in by_views[0].items()
    ]


def _means(summary: dict) -> dict:
    return {name.replace("_", " "): row for name, row in summary["overall"].items()}


def summary_lines(results: dict) -> dict[str, str]:
    """What was measured, and how: the lines above every table."""
    split, sweep = results["split"], results["sweep"]
    lines = {
        "network": f"{results['network']}, {Path(results['weights']).name}",
        "objects": f"{results['objects']} of the part {results['part']}, split {split['name']}",
        "checksum of their names": f"sha256 {split['checksum']}",
        "threshold": f"{results['threshold']:g}",
    }
    if sweep:
        count = len(sweep["thresholds"])
        lines["threshold chosen on validation"] = (
            f"{sweep['best']:g}, of {count} (IoU {max(sweep['iou']):.4f} of {sweep['objects']} "
            f"objects of the part {sweep['part']}, {results['views']} views)"
        )
    return lines


def format_table(results: dict) -> str:
    """What was measured and the tables of all metrics, as lines of text."""
    lines = [f"{name}: {value}" for name, value in summary_lines(results).items()]
    for metric in available_metrics(results):
        rows = table(results, metric)
        width = max(len(name) for name, _, _ in rows)
        numbers = "".join(f"{count:8}" for count in range(1, results["views"] + 1))
        head = f"{'views':{width}}  objects{numbers}"
        body = [
            f"{name:{width}}  {objects:7}" + "".join(f"{value:8.4f}" for value in values)
            for name, objects, values in rows
        ]
        rule = "-" * len(head)
        lines += ["", METRICS[metric], head, rule, *body[:-2], rule, *body[-2:]]
    return "\n".join(lines)


def write_results(
    folder: Path, results: dict, values: dict[str, np.ndarray], names: list[str]
) -> list[Path]:
    """Write result.json (means), result.mat (means and objects) and per_object.csv, worst first.

    `values` are those of `summarise` and `names` the "category/model" of each object.
    """
    paths = [folder / name for name in ("result.json", "result.mat", "per_object.csv")]
    with atomic_write(paths[0]) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    with atomic_write(paths[1]) as temporary:
        scipy.io.savemat(temporary, _arrays(results, values, names), appendmat=False)
    with (
        atomic_write(paths[2]) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as f,
    ):
        writer = csv.writer(f, lineterminator="\n")
        views = range(1, results["views"] + 1)
        writer.writerow(
            ["object", *(f"{name}_{count}_views" for name in values for count in views)]
        )
        for number in np.argsort(values["iou"][:, -1], kind="stable"):
            writer.writerow(
                [names[number], *(f"{v:.6f}" for value in values.values() for v in value[number])]
            )
    return paths


def _arrays(results: dict, values: dict, names: list[str]) -> dict:
    """For MATLAB: objects × views, categories × views, and the means over both, × views."""
    arrays = {"objects": np.array(names, dtype=object), "threshold": results["threshold"]}
    for metric, value in values.items():
        *categories, over_samples, over_categories = table(results, metric)
        arrays["categories"] = np.array([name for name, _, _ in categories], dtype=object)
        arrays[f"object_{metric}"] = value
        arrays[f"category_{metric}"] = np.array([row for _, _, row in categories])
        arrays[f"mean_over_samples_{metric}"] = over_samples[2]
        arrays[f"mean_over_categories_{metric}"] = over_categories[2]
    return arrays

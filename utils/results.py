"""What a measurement says: means per category and overall, as a table and as files."""

import json
from pathlib import Path

import numpy as np
import scipy.io

from utils.files import replacing

METRICS = ("iou", "loss")


def summarise(measured: dict[str, list], categories: list[str]) -> dict:
    """Means of what `utils.engine.evaluate` measured.

    `categories` names the category of each object. Returns {"categories": {name: means}, "overall":
    {"mean_over_samples": means, "mean_over_categories": means}}; means holds "objects", "iou" and
    "loss".
    """
    labels = np.array(categories)
    values = {metric: np.array(measured[metric]) for metric in METRICS}

    def means(chosen: np.ndarray) -> dict:
        return {"objects": int(chosen.sum())} | {
            metric: float(values[metric][chosen].mean()) for metric in METRICS
        }

    per_category = {name: means(labels == name) for name in sorted(set(categories))}
    over_categories = {"objects": len(categories)} | {
        metric: float(np.mean([row[metric] for row in per_category.values()])) for metric in METRICS
    }
    overall = {
        "mean_over_samples": means(np.ones(len(labels), bool)),
        "mean_over_categories": over_categories,
    }
    return {"categories": per_category, "overall": overall}


def format_table(results: dict) -> str:
    """The means as lines of text."""
    rows = [*results["categories"].items()]
    rows += [(name.replace("_", " "), row) for name, row in results["overall"].items()]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'category':{width}}  objects     IoU    loss"]
    lines += [
        f"{name:{width}}  {row['objects']:7}  {row['iou']:.4f}  {row['loss']:.4f}"
        for name, row in rows
    ]
    rule = "-" * len(lines[0])
    lines.insert(1, rule)
    lines.insert(-2, rule)
    return "\n".join(lines)


def write_results(folder: Path, results: dict, measured: dict, index) -> list[Path]:
    """Write result.json (the means) and result.mat (the means, and every object's values)."""
    paths = [folder / "result.json", folder / "result.mat"]
    with replacing(paths[0]) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    objects = {
        "objects": np.array([index.names[p] for p in measured["position"]], dtype=object),
        **{f"object_{metric}": np.array(measured[metric]) for metric in METRICS},
    }
    rows = results["categories"]
    means = {
        "categories": np.array(list(rows), dtype=object),
        **{f"category_{metric}": [row[metric] for row in rows.values()] for metric in METRICS},
        **{
            f"{name}_{metric}": row[metric]
            for name, row in results["overall"].items()
            for metric in METRICS
        },
        "threshold": results["threshold"],
        "views": results["views"],
    }
    with replacing(paths[1]) as temporary:
        scipy.io.savemat(temporary, objects | means)
    return paths

"""Measure a trained network: python test.py --cfg=my.ini"""

from pathlib import Path

import numpy as np
import torch

from data.loading import make_loader, open_dataset
from data.sampling import EvalBatchSampler, SampleKey
from data.shapenet import ShapeNetDataset, collate
from utils.checkpoint import find_weights, load_network
from utils.config import EvalConfig, read_config
from utils.engine import choose_device, evaluate, to_device
from utils.errors import InputError, run
from utils.metrics import occupancy_logits
from utils.precision import Precision
from utils.published import write_markdown
from utils.report import Example, choose_examples, write_report
from utils.results import checksum, choose_threshold, format_table, summarise, write_results


def main() -> None:
    config = read_config(EvalConfig, __doc__)
    device = choose_device(config.device)
    folder = Path(config.saved_models_path) / config.experiment_name
    weights = find_weights(folder, config.weights, config.resume_epoch)
    network = load_network(weights).to(device)
    index, parts = open_dataset(config.database_path, config.split_file, config.val_fraction)
    if not parts[config.split]:
        raise InputError(f"split: no samples in {config.split!r} of {config.database_path}")
    if config.thresholds and not parts["val"]:
        raise InputError(f"thresholds: no samples in 'val' of {config.database_path}")

    samples = ShapeNetDataset(index, network.image_size, config.seed, training=False)
    precision = Precision(config.precision, device)

    def measure(part: str, thresholds: list[float], title: str) -> dict:
        batches = EvalBatchSampler(parts[part], config.batch_size, config.max_views)
        loader = make_loader(samples, batches, config.num_workers, pin=device.type == "cuda")
        return evaluate(network, loader, precision, thresholds, title)

    sweep, thresholds = None, [config.threshold]
    if config.thresholds:
        validated = measure("val", config.thresholds, "choosing the threshold")
        sweep = choose_threshold(validated["iou"][:, -1], config.thresholds)
        sweep |= {"part": "val", "objects": len(parts["val"])}
        thresholds.append(sweep["best"])
    measured = measure(config.split, thresholds, f"testing {weights.name}")
    metrics = ("iou", "iou_at_best")[: len(thresholds)]
    values = {name: measured["iou"][..., number] for number, name in enumerate(metrics)}
    values |= {name: measured[name] for name in ("average_precision", "loss")}

    positions = measured["position"]
    names = [index.names[position] for position in positions]
    by_views = summarise(values, [index.category(position) for position in positions])
    split = Path(config.split_file).name or "sorted 80/20"
    results = {
        "network": network.name,
        "weights": str(weights),
        "dataset": str(index.root),
        "part": config.split,
        "split": {"name": split, "checksum": checksum(names)},
        "objects": len(names),
        "views": config.max_views,
        "threshold": config.threshold,
        "sweep": sweep,
        "categories": by_views[-1]["categories"],
        "overall": by_views[-1]["overall"],
        "by_views": by_views,
    }
    print(format_table(results))
    written = write_results(folder, results, values, names)
    written.append(write_markdown(folder / "result.md", results))
    if config.html:
        examples = []
        for kind, number in choose_examples(values["iou"][:, -1]):
            sample = samples[SampleKey(positions[number], 0, config.max_views)]
            prediction = reconstruct(network, sample, precision) >= config.threshold
            ious = values["iou"][number]
            examples.append(Example(kind, names[number], ious, *sample[:2], prediction))
        written.append(write_report(folder / "report.html", results, examples))
    print("written:", ", ".join(map(str, written)))


@torch.no_grad()
def reconstruct(network, sample, precision: Precision) -> np.ndarray:
    """The probabilities (32, 32, 32) that the network gives a sample's voxels."""
    images, voxels, _ = collate([sample])
    with precision.autocast():
        logits = network(to_device(images, voxels, precision.device)[0])
    return torch.sigmoid(occupancy_logits(logits).float())[0].cpu().numpy()


if __name__ == "__main__":
    run(main)

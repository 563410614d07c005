"""Evaluate a network, by default on the dataset of its training: python test.py --cfg=my.ini"""

from os.path import expanduser
from pathlib import Path

import numpy as np

from data.datasets import open_dataset
from data.loader import eval_batches, make_loader
from data.shapenet import SampleKey, ShapeNetDataset
from data.splits import SPLITS
from models.checkpoint import find_weights, saved_config
from models.mirror import MIRROR_HELP
from models.predictor import Predictor
from utils.config import Config, read_config
from utils.engine import evaluate
from utils.errors import InputError, Parser, run
from utils.report import Example, choose_examples, write_report
from utils.results import (
    choose_threshold,
    format_results,
    make_results,
    results_dir,
    write_results,
)

DATASET_OPTIONS = ("database_path", "split_file", "val_fraction", "categories")


def main() -> None:
    config, given = read_options()

    # The network and the threshold: given, or stored in the weights.
    experiment = Path(config.saved_models_path) / config.experiment_name
    weights = find_weights(experiment, config.weights, config.resume_epoch)
    predictor = Predictor(weights, config.device, config.precision or "fp32", mirror=config.mirror)
    network, model, precision = predictor.network, predictor.model, predictor.precision
    threshold = config.threshold or network.threshold

    # The samples, and those to choose the threshold on: by default of the training's dataset.
    saved = saved_config(weights)
    if "database_path" in given and config.database_path != saved.get("database_path"):
        saved = {}  # the split and the categories are those of another dataset
    for name in saved.keys() & {*DATASET_OPTIONS} - given:
        if saved[name] != getattr(config, name):
            print(f"{name} = {saved[name]}, as in the training")
            setattr(config, name, saved[name])
    index, splits = open_dataset(
        config.database_path, config.split_file, config.val_fraction, config.categories
    )
    dataset = ShapeNetDataset(index, network.image_size, network.resolution)
    loaders = {}
    for split in sorted({config.split, "val"} if config.thresholds else {config.split}):
        if not splits[split]:
            raise InputError(f"split: no samples in '{split}' of {config.database_path}")
        index.require_views(splits[split], config.max_views)
        batches = eval_batches(splits[split], config.batch_size, config.max_views)
        pin_memory = predictor.device.type == "cuda"
        loaders[split] = make_loader(dataset, batches, config.num_workers, pin_memory=pin_memory)

    # The evaluation.
    search = None
    if config.thresholds:
        title = "choosing the threshold"
        val = evaluate(model, loaders["val"], precision, config.thresholds, title)
        search = choose_threshold(val["iou"][:, -1], config.thresholds)
        threshold = search["best"]
    loader, title = loaders[config.split], f"evaluating {weights.name}"
    evaluation = evaluate(model, loader, precision, [threshold], title, config.surface)

    # The results.
    indices = evaluation.pop("index")
    names = [index.names[i] for i in indices]
    categories = [index.category(i) for i in indices]
    values = {  # (N, V), without the axis of the one threshold
        name: value.reshape(value.shape[:2]) for name, value in evaluation.items()
    }
    results = make_results(
        values,
        names,
        categories,
        network=network.name,
        weights=str(weights),
        dataset=str(index.root),
        split=config.split,
        split_file=config.split_file,
        mirror=config.mirror,
        threshold=threshold,
        threshold_search=search,
    )
    print(format_results(results))
    folder = results_dir(experiment, results)
    write_results(folder, results, values, names)
    print(f"{folder}: result.json, result.md, per_sample.csv")

    # The page, with the best, median and worst samples; an older one would not fit the results.
    (folder / "report.html").unlink(missing_ok=True)
    if config.html:
        examples = []
        for kind, i in choose_examples(values["iou"][:, -1]):
            views, target, _ = dataset[SampleKey(indices[i], 0, config.max_views)]
            prediction = predictor.predict(views) >= threshold
            name = index.label(indices[i])
            examples.append(Example(kind, name, values["iou"][i], views, target, prediction))
        write_report(folder / "report.html", results, examples)
        print(f"{folder / 'report.html'}: tables, and voxels to rotate in a browser")


def read_options() -> tuple[Config, set[str]]:
    parser = Parser(description=__doc__)
    add = parser.add_argument_group("testing").add_argument
    split = "samples to evaluate (default: test)"
    add("--split", choices=(*SPLITS, "all"), default="test", help=split)
    weights = "weights, or a folder of checkpoints (default: those of --experiment_name)"
    add("--weights", metavar="FILE", type=expanduser, default="", help=weights)
    search = "choose the best of these on the validation split, as 0.1:0.9:0.05"
    add("--thresholds", type=thresholds, metavar="FIRST:LAST:STEP", help=search)
    add("--mirror", action="store_true", help=MIRROR_HELP)
    add("--surface", action="store_true", help="F-scores and Chamfer distance of the surface too")
    add("--html", action="store_true", help="write report.html as well")
    return read_config(parser, ("data", "experiment", "evaluation"))


def thresholds(text: str) -> list[float]:
    """Parse a range first:last:step within [0.001, 1]."""
    first, last, step = map(float, text.split(":"))
    if not (0.001 <= first <= last <= 1 and step > 0):
        raise ValueError
    return np.arange(first, last + 1e-6, step).round(6).tolist()


if __name__ == "__main__":
    run(main, out_of_memory="use a smaller --batch_size or --max_views")

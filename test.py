"""Measure a trained network: python test.py --cfg=my.ini"""

from pathlib import Path

from data.loading import make_loader, open_dataset
from data.sampling import EvaluationBatches
from data.shapenet import Samples
from utils.checkpoint import find_weights, load_network
from utils.config import read_config
from utils.engine import choose_device, evaluate
from utils.errors import UserError, run
from utils.precision import Precision
from utils.results import format_table, summarise, write_results


def main() -> None:
    config = read_config("test", __doc__)
    device = choose_device(config.device)
    folder = Path(config.saved_models_path) / config.experiment_name
    weights = find_weights(folder, config.weights, config.resume_epoch)
    network = load_network(weights).to(device)
    index, parts = open_dataset(config.database_path, config.split_file, config.val_portion)
    members = parts[config.part]
    if not members:
        raise UserError(f"part: expected objects in the part {config.part}, found none")

    samples = Samples(index, network.image_size, config.seed, training=False)
    batches = EvaluationBatches(members, config.batch_size, config.max_views)
    loader = make_loader(samples, batches, config.num_workers, pin=device.type == "cuda")
    precision = Precision(config.precision, device)
    measured = evaluate(network, loader, precision, [config.threshold], f"testing {weights.name}")
    measured |= {"loss": measured["loss"][:, -1], "iou": measured["iou"][:, -1, 0]}

    results = summarise(measured, [index.category(p) for p in measured["position"]])
    results |= {
        "weights": str(weights),
        "network": network.name,
        "dataset": str(index.root),
        "part": config.part,
        "views": config.max_views,
        "threshold": config.threshold,
    }
    print(format_table(results))
    written = write_results(folder, results, measured, index)
    print("written:", ", ".join(map(str, written)))


if __name__ == "__main__":
    run(main)

import csv
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from data.shapenet import SampleKey, ShapeNetDataset, collate, index_dataset
from models import load_network, save_network
from tests.helpers import EXPERIMENT, SMALL, make_dataset, small_network
from tests.test_report import example_results
from utils.metrics import compute_metrics
from utils.results import choose_threshold, format_results

THRESHOLDS = [0.3, 0.4, 0.5, 0.6]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A dataset, weights, and the metrics of its samples for 1 and 2 views."""
    folder = tmp_path_factory.mktemp("evaluated")
    root = make_dataset(folder / "data", {"03001627": 10, "04379243": 5}, views=2, seed=3)
    network = small_network("3D-GRU-3")
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter *= 1.3  # probabilities well apart
    save_network(folder / "weights.pth", network)
    index = index_dataset(root)
    samples = ShapeNetDataset(index, 128)
    network, expected = load_network(folder / "weights.pth"), {}
    for i in (6, 7, 8, 9, 13, 14):  # validation and test
        images, voxels, _ = collate([samples[SampleKey(i, 0, 2)]])
        with torch.no_grad():
            logits = [network(images[:, :n] / 255) for n in (1, 2)]
        metrics = [compute_metrics(one, voxels, THRESHOLDS) for one in logits]
        expected[index.names[i]] = [
            {name: value[0].tolist() for name, value in row.items()} for row in metrics
        ]
    return root, folder / "weights.pth", expected


def table_rows(markdown):
    """The cells of each row of each table."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.fixture
def evaluate(output_of, evaluated):
    """Run test.py on the small network, and return its output."""
    root, weights, _ = evaluated
    flags = [f"--database_path={root}", f"--weights={weights}", "--val_fraction=0.25"]
    return partial(output_of, "test", *SMALL[1:], *flags)


def test_results_match_the_metrics_of_each_sample(evaluate, evaluated):
    expected_metrics = evaluated[2]
    output = evaluate("--thresholds=0.3:0.6:0.1", "--html")
    folder = EXPERIMENT / "test-weights"
    results = json.loads((folder / "result.json").read_text())

    chairs = [f"03001627/model{i:02d}" for i in (8, 9)]
    tables = ["04379243/model04"]
    val = [*(f"03001627/model{i:02d}" for i in (6, 7)), "04379243/model03"]
    ious = [np.mean([expected_metrics[name][1]["iou"][t] for name in val]) for t in range(4)]
    best = int(np.argmax(ious))
    search = results["threshold_search"]
    assert search["iou"] == pytest.approx(ious, abs=1e-6)
    assert search["num_samples"] == 3
    assert results["threshold"] == search["best"] == THRESHOLDS[best]

    def value(name, num_views, metric):
        row = expected_metrics[name][num_views - 1]
        return row["iou"][best] if metric == "iou" else row[metric]

    def mean(names, metric):
        return [np.mean([value(name, n, metric) for name in names]) for n in (1, 2)]

    metrics = ("iou", "average_precision", "loss")
    rows = {**results["categories"], **results["overall"]}
    for metric in metrics:
        expected = {
            "chair": mean(chairs, metric),
            "table": mean(tables, metric),
            "mean_over_samples": mean(chairs + tables, metric),
            "mean_over_categories": np.mean([mean(chairs, metric), mean(tables, metric)], axis=0),
        }
        for name, means in expected.items():
            assert rows[name][metric] == pytest.approx(means, abs=1e-6)
    assert (results["num_samples"], results["num_views"], results["split_file"]) == (3, 2, "")

    with open(folder / "per_sample.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    worst_first = sorted(chairs + tables, key=lambda name: value(name, 2, "iou"))
    assert [row["sample"] for row in rows] == worst_first
    for row in rows:
        for metric in metrics:
            for n in (1, 2):
                expected = value(row["sample"], n, metric)
                assert float(row[f"{metric}_{n}_views"]) == pytest.approx(expected, abs=2e-6)

    names = {path.name for path in folder.iterdir()}
    assert names == {"result.json", "result.md", "per_sample.csv", "report.html"}
    assert str(folder) in output and "report.html" in output
    assert "chair/model08" in (folder / "report.html").read_text("utf-8")
    one, two = mean(chairs, "iou")
    for text in (output, (folder / "result.md").read_text()):
        assert ["chair", "2", f"{one:.4f}", f"{two:.4f}"] in table_rows(text)


def test_each_evaluation_keeps_its_own_results(evaluate, tmp_path):
    other = tmp_path / "other" / "weights.pth"
    save_network(other, small_network("3D-LSTM-1"))
    evaluations = [(), ("--split=val",), (f"--weights={other}",), ("--val_fraction=0.5",)]
    evaluations += [("--val_fraction=0.5", "--split=val"), ("--max_views=1",), ("--mirror",)]
    for flags in (*evaluations, *evaluations[:2]):  # the same evaluation again replaces its results
        evaluate(*flags)
    paths = Path().rglob("result.json")
    found = {path.parent.name: json.loads(path.read_text()) for path in paths}
    names = "test-weights val-weights test-weights-2 val-weights-2 test-weights-3 test-weights-4"
    assert set(found) == set(names.split())
    assert found["test-weights-3"]["num_views"] == 1
    first, mirrored = found["test-weights"], found["test-weights-4"]
    assert mirrored["mirror"] and mirrored["overall"] != first["overall"]
    assert found["test-weights-2"]["network"] == "3D-LSTM-1"
    assert found["val-weights"]["num_samples"] < found["val-weights-2"]["num_samples"]


def test_lowest_of_equal_thresholds_is_chosen():
    ious = np.array([[0.2, 0.5, 0.5], [0.2, 0.2, 0.2]])
    assert choose_threshold(ious, (0.3, 0.4, 0.5))["best"] == 0.4


def test_markdown_shows_names_as_they_are():
    values = {name: np.array([[0.25], [0.75]]) for name in ("iou", "loss")}
    text = format_results(example_results(values, ["a|b\n<i>", "c_d"]))
    assert ["a\\|b \\<i\\>", "1", "0.2500"] in table_rows(text)
    assert ["c_d", "1", "0.7500"] in table_rows(text)


@pytest.mark.parametrize(
    ("categories", "expected"), [("aab", (1, 0)), ("ab", (1, 0)), ("aabb", (1, 1)), ("a", (0, 0))]
)
def test_interval_is_left_out_where_it_would_have_no_width(categories, expected):
    values = np.random.default_rng(0).random((len(categories), 1))
    results = example_results({"iou": values}, [*categories])
    found = [results["confidence_intervals"][name] is not None for name in results["overall"]]
    assert tuple(found) == expected
    assert format_results(results).count("| 95% interval ") == sum(expected)


def test_confidence_intervals_match_the_bootstrap():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.1, (100, 1)), rng.normal(0.3, 0.2, (400, 1))
    results = example_results({"iou": np.concatenate([a, b])}, ["a"] * 100 + ["b"] * 400)
    intervals = results["confidence_intervals"]

    def resampled_means(values):
        return rng.choice(values[:, 0], (2000, len(values))).mean(1)

    by_category = (resampled_means(a) + resampled_means(b)) / 2
    for name, means in (
        ("mean_over_samples", resampled_means(np.concatenate([a, b]))),
        ("mean_over_categories", by_category),
    ):
        bounds = np.quantile(means, [0.025, 0.975])
        assert intervals[name]["iou"][0] == pytest.approx(bounds, abs=0.1 * np.ptp(bounds))


def test_surface_adds_metrics(evaluate):
    evaluate("--surface")
    results = json.loads(next(Path().rglob("result.json")).read_text())
    means = results["overall"]["mean_over_samples"]
    assert means["chamfer_distance"][1] > 0
    assert means["f_score_1pct"][1] <= means["f_score_2pct"][1] <= means["f_score_5pct"][1]

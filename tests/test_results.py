import csv
import hashlib
import json
import random

import numpy as np
import pytest
import scipy.io
import torch

from data.sampling import SampleKey
from data.shapenet import ShapeNetDataset, collate, index_dataset
from models import build_network
from models.weights import network_state, write_torch
from tests.helpers import SMALL, make_dataset
from tests.test_report import results_of
from utils.checkpoint import load_network
from utils.published import PUBLISHED, write_markdown
from utils.results import checksum, choose_threshold, format_table, summarise, table


def plain_measures(probability, truth, thresholds):
    """IoUs, average precision and loss of one object, voxel by voxel in plain Python."""
    pairs = list(zip(probability.ravel().tolist(), truth.ravel().tolist(), strict=True))
    ious = []
    for threshold in thresholds:
        both = sum(p >= threshold and t for p, t in pairs)
        either = sum(p >= threshold or t for p, t in pairs)
        ious.append(both / either)
    loss = -sum(np.log(p if t else 1 - p) for p, t in pairs) / len(pairs)
    precision_sum = found = seen = 0
    by_score = {}
    for p, t in pairs:
        by_score.setdefault(p, []).append(t)
    for score in sorted(by_score, reverse=True):
        found += sum(by_score[score])
        seen += len(by_score[score])
        precision_sum += sum(by_score[score]) * found / seen
    return {"iou": ious, "loss": loss, "average_precision": precision_sum / found}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A small network, its objects, and the plain measures of each for 1 and 2 views."""
    folder = tmp_path_factory.mktemp("measured")
    root = make_dataset(folder / "data", {"03001627": 10, "04379243": 5}, views=2, seed=3)
    torch.manual_seed(0)
    network = build_network("3D-GRU-3", width=1 / 16)
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter *= 1.3  # probabilities well apart
    write_torch(folder / "weights.pth", network_state(network))
    index = index_dataset(root)
    samples = ShapeNetDataset(index, 128, 0, training=False)
    network, plain = load_network(folder / "weights.pth"), {}
    for position in (6, 7, 8, 9, 13, 14):  # the last of training are validation, then test
        images, voxels, _ = collate([samples[SampleKey(position, 0, 2)]])
        with torch.no_grad():
            plain[index.names[position]] = [
                plain_measures(
                    network(images[:, :count] / 255)[0].double().softmax(0)[1].numpy(),
                    voxels[0].numpy(),
                    (0.3, 0.4, 0.5, 0.6),
                )
                for count in (1, 2)
            ]
    return root, folder / "weights.pth", plain


def test_the_tables_agree_with_a_plain_computation(script, measured, tmp_path, monkeypatch):
    root, weights, plain = measured
    monkeypatch.chdir(tmp_path)
    arguments = [*SMALL, f"--database_path={root}", f"--weights={weights}", "--val_fraction=0.25"]
    status, output, errors = script(
        "test", *arguments, "--thresholds=0.3:0.6:0.1", "--threshold=0.5", "--html"
    )
    assert (status, errors) == (0, "")
    folder = tmp_path / "saved_models" / "3d-r2n2"
    results = json.loads((folder / "result.json").read_text())

    chairs = [f"03001627/model{number:02d}" for number in (8, 9)]
    tables = ["04379243/model04"]
    val = [*(f"03001627/model{number:02d}" for number in (6, 7)), "04379243/model03"]
    sweep = [np.mean([plain[name][1]["iou"][t] for name in val]) for t in range(4)]
    best = int(np.argmax(sweep))
    assert results["sweep"]["iou"] == pytest.approx(sweep, abs=1e-6)
    assert results["sweep"]["best"] == [0.3, 0.4, 0.5, 0.6][best]
    assert (results["sweep"]["part"], results["sweep"]["objects"]) == ("val", 3)

    def value(name, count, metric):
        row = plain[name][count - 1]
        return {**row, "iou": row["iou"][2], "iou_at_best": row["iou"][best]}[metric]

    def mean(names, count, metric):
        return sum(value(name, count, metric) for name in names) / len(names)

    for one, count in zip(results["by_views"], (1, 2), strict=True):
        assert one["views"] == count
        for metric in ("iou", "iou_at_best", "average_precision", "loss"):
            expected = {
                "chair": mean(chairs, count, metric),
                "table": mean(tables, count, metric),
                "mean_over_samples": mean(chairs + tables, count, metric),
                "mean_over_categories": (
                    (mean(chairs, count, metric) + mean(tables, count, metric)) / 2
                ),
            }
            rows = {**one["categories"], **one["overall"]}
            found = {name: row[metric] for name, row in rows.items()}
            assert found == pytest.approx(expected, abs=1e-6)
    assert results["categories"] == results["by_views"][-1]["categories"]
    assert results["overall"] == results["by_views"][-1]["overall"]
    assert results["split"] == {"name": "sorted 80/20", "checksum": checksum(chairs + tables)}
    assert results["objects"] == 3 and "weights.pth" in output

    with open(folder / "per_object.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    worst_first = sorted(chairs + tables, key=lambda name: value(name, 2, "iou"))
    assert [row["object"] for row in rows] == worst_first
    for row in rows:
        for metric in ("iou", "iou_at_best", "average_precision", "loss"):
            for count in (1, 2):
                expected = value(row["object"], count, metric)
                assert float(row[f"{metric}_{count}_views"]) == pytest.approx(expected, abs=2e-6)

    matrix = scipy.io.loadmat(folder / "result.mat", simplify_cells=True)
    assert matrix["object_loss"].shape == (3, 2) and matrix["category_iou"].shape == (2, 2)
    assert matrix["mean_over_samples_iou_at_best"] == pytest.approx(
        [mean(chairs + tables, count, "iou_at_best") for count in (1, 2)], abs=1e-6
    )
    assert (folder / "report.html").is_file() and "report.html" in output
    text = (folder / "result.md").read_text()
    assert f"{mean(chairs, 1, 'iou'):.3f} | {mean(chairs, 2, 'iou'):.3f} |" in text


def test_a_threshold_is_chosen_only_where_there_is_a_validation_part(
    script, measured, tmp_path, monkeypatch
):  # fmt: skip
    root, weights, _ = measured
    monkeypatch.chdir(tmp_path)
    arguments = [*SMALL, f"--database_path={root}", f"--weights={weights}", "--val_fraction=0"]
    status, _, errors = script("test", *arguments, "--thresholds=0.3,0.4")
    assert status == 2 and errors.startswith("error: thresholds") and errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_of_equal_thresholds_the_lowest_is_chosen():
    assert choose_threshold(np.array([[0.1, 0.5, 0.5]]), (0.3, 0.4, 0.5))["best"] == 0.4


def test_the_checksum_names_the_objects_in_any_order():
    names = ["b/1", "a/2", "a/10"]
    expected = hashlib.sha256(b"a/10\na/2\nb/1").hexdigest()
    assert checksum(names) == checksum(random.sample(names, 3)) == expected
    assert checksum(names[:2]) != expected


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    values = {name: rng.random((4, 5)) for name in ("iou", "average_precision", "loss")}
    return results_of(values, ["a", "b|c", "a", "a"])


def test_published_numbers_are_labelled_and_in_the_markdown_alone(results, tmp_path):
    text = write_markdown(tmp_path / "result.md", results).read_text()
    for network, loss, iou, source in PUBLISHED:
        assert f"| {network} | published, {source} | 5 | {loss:.3f} | {iou:.3f} |" in text
    iou = results["overall"]["mean_over_samples"]["iou"]
    loss = results["overall"]["mean_over_samples"]["loss"]
    assert f"| 3D-GRU-3 | measured, mean over samples | 5 | {loss:.3f} | {iou:.3f} |" in text
    assert "b\\|c" in text
    assert "published" not in format_table(results) + json.dumps(results)


def test_a_table_has_a_row_for_each_category_and_both_means(results):
    rows = table(results, "loss")
    assert [row[:2] for row in rows] == [
        ("a", 3),
        ("b|c", 1),
        ("mean over samples", 4),
        ("mean over categories", 4),
    ]
    assert all(len(values) == 5 for _, _, values in rows)
    lines = format_table(results).splitlines()
    assert sum(line.startswith("mean over samples") for line in lines) == 3


def test_means_of_single_precision_are_taken_in_double():
    values = np.full((100_000, 1), 0.1, np.float32)
    mean = summarise({"iou": values}, ["a"] * 100_000)[0]["overall"]["mean_over_samples"]["iou"]
    assert mean == pytest.approx(float(np.float32(0.1)), abs=1e-9)

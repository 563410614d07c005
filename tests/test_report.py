import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from data.background import Cutout
from tests.browser import open_browser
from utils.draw import draw_voxels
from utils.report import (
    Example,
    choose_examples,
    curve,
    write_prediction_page,
    write_report,
)
from utils.results import make_results

EVIL = "<script>alert(1)</script>\"'&"


def example_results(values, categories):
    """Results of evaluated samples, with values (N, V) for each metric."""
    return make_results(
        values,
        [f"{category}/{i}" for i, category in enumerate(categories)],
        categories,
        network="3D-GRU-3",
        weights="somewhere/checkpoint_epoch_00000001.pth",
        dataset="datasets/mine",
        split="test",
        split_file=f"{EVIL}.json",
        threshold=0.4,
        view_orders=None,
        threshold_search={
            "num_samples": 2, "thresholds": [0.3, 0.4], "iou": [0.1, 0.2], "best": 0.4
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def grids():
    block = np.zeros((32, 32, 32), bool)
    block[9:19, 6:26, 13:19] = True
    return np.random.default_rng(0).random((32, 32, 32)) < 0.1, block


@pytest.fixture(scope="module")
def report(tmp_path_factory, grids):
    rng = np.random.default_rng(1)
    values = {name: rng.random((9, 3)) for name in ("iou", "average_precision", "loss")}
    results = example_results(values, [EVIL] * 5 + ["chair"] * 4)
    views = rng.integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    examples = [
        Example(kind, f"{EVIL}/model", values["iou"][i], views, *grids)
        for kind, i in choose_examples(values["iou"][:, -1])
    ]
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, results, examples)
    return path


def canvas_page(path, grid, title="a"):
    cutout = Cutout(Image.new("RGBA", (137, 137)), "mask")
    write_prediction_page(path, title, [cutout], grid[None], {"gate": np.zeros((1, 4, 4, 4))})
    return path


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_report_is_self_contained(report):
    text = report.read_text("utf-8")
    elements = Elements(text).found
    addresses = [a[name] for _, a in elements for name in ("src", "href") if name in a]
    assert addresses and all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", text)


def test_names_are_escaped(report):
    text = report.read_text("utf-8")
    assert EVIL not in text and "&lt;script&gt;alert(1)" in text
    assert sum(tag == "script" for tag, _ in Elements(text).found) == 1


def test_report_shows_views_target_and_prediction_of_nine_samples(report):
    elements = Elements(report.read_text("utf-8")).found
    assert sum(tag == "canvas" for tag, _ in elements) == 2 * 9
    assert sum(tag == "img" for tag, _ in elements) == (3 + 2) * 9


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 100])
def test_examples_are_best_median_and_worst_without_repetition(count):
    ious = np.random.default_rng(count).permutation(count) / count
    examples = choose_examples(ious)
    chosen = [i for _, i in examples]
    assert len(set(chosen)) == len(chosen) <= 9
    assert ious[chosen].tolist() == sorted(ious[chosen], reverse=True)
    assert examples[0] == ("best", ious.argmax())
    if count > 1:
        assert examples[-1] == ("worst", ious.argmin())
    if count > 2:
        assert {kind for kind, _ in examples} == {"best", "median", "worst"}
    if count == 100:
        assert [round(100 * ious[i]) for kind, i in examples if kind == "median"] == [
            51,
            50,
            49,
        ]


def test_curve_labels_do_not_overlap():
    ious = np.repeat([[0.5], [0.502], [0.5], [0.0], [0.9]], 2, axis=1)
    svg = curve(example_results({"iou": ious}, [*"abcde"]))
    labels = re.findall(r'y="([0-9.]+)" fill="#555" text-anchor="start">(\w)', svg)
    assert [name for _, name in labels if name in "abcde"] == [*"ebacd"]
    assert np.diff([float(y) for y, _ in labels]).min() >= 13.9


def test_curve_has_a_line_for_each_category_and_mean(tmp_path, report):
    elements = [tag for tag, _ in Elements(report.read_text("utf-8")).found]
    assert elements.count("polyline") == 2 + 2
    results = example_results({name: np.ones((2, 1)) for name in ("iou", "loss")}, ["a", "b"])
    write_report(tmp_path / "a.html", results, [])
    assert "<svg" not in (tmp_path / "a.html").read_text("utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_voxels_rotate_with_the_mouse(browser, report):
    browser.open(report)
    before = [browser.canvas(i) for i in range(4)]
    for pixels in before:
        assert 0.05 < (pixels[..., 3] > 0).mean() < 0.95
    browser.drag(0, 60, 20)
    after = [browser.canvas(i) for i in range(4)]
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    assert changed == [True, True, False, False]  # ground truth and prediction together
    browser.drag(0, -60, -20)
    assert np.array_equal(browser.canvas(0), before[0])
    assert browser.messages() == []


def test_viewer_draws_what_draw_voxels_does(browser, tmp_path, grids):
    grid = grids[1]
    browser.open(canvas_page(tmp_path / "a.html", grid))
    for azimuth in (30, 90, 150, 210):
        drawn = Image.alpha_composite(
            Image.new("RGBA", (256, 256), "white"),
            Image.fromarray(browser.canvas(0)).resize((256, 256)),
        ).convert("RGB")
        expected = draw_voxels(grid, 256, azimuth=azimuth)
        difference = np.abs(np.asarray(drawn, int) - np.asarray(expected, int)).max(-1)
        assert (difference > 40).mean() < 0.02
        browser.drag(0, 120, 0)  # by 60 degrees
    assert browser.messages() == []


def test_empty_grid_is_drawn_without_error(browser, tmp_path):
    browser.open(canvas_page(tmp_path / "a.html", np.zeros((32, 32, 32), bool), EVIL))
    assert not browser.canvas(0).any() and browser.messages() == []
    assert browser.script("return document.title") == EVIL

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tests.browser import open_browser
from utils import page
from utils.report import Example, choose_examples, write_report
from utils.results import summarise
from utils.visualize import draw_voxels

EVIL = "<script>alert(1)</script>\"'&"


def results_of(values, categories):
    by_views = summarise(values, categories)
    return {
        "network": "3D-GRU-3",
        "weights": "somewhere/checkpoint_epoch_00000001.pth",
        "part": "test",
        "split": {"name": f"{EVIL}.json", "checksum": "0" * 64},
        "objects": len(categories),
        "views": len(by_views),
        "threshold": 0.4,
        "sweep": {"thresholds": [0.3, 0.4], "iou": [0.1, 0.2], "best": 0.4, "objects": 2,
                  "part": "val"},
        "categories": by_views[-1]["categories"],
        "overall": by_views[-1]["overall"],
        "by_views": by_views,
    }  # fmt: skip


@pytest.fixture(scope="module")
def grids():
    block = np.zeros((32, 32, 32), bool)
    block[9:19, 6:26, 13:19] = True
    return np.random.default_rng(0).random((32, 32, 32)) < 0.1, block


@pytest.fixture(scope="module")
def report(tmp_path_factory, grids):
    rng = np.random.default_rng(1)
    values = {name: rng.random((9, 3)) for name in ("iou", "average_precision", "loss")}
    results = results_of(values, [EVIL] * 5 + ["chair"] * 4)
    views = rng.integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    examples = [
        Example(kind, f"{EVIL}/model", values["iou"][number], views, *grids)
        for kind, number in choose_examples(values["iou"][:, -1])
    ]
    return write_report(tmp_path_factory.mktemp("report") / "report.html", results, examples)


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_page_is_one_file_that_asks_for_no_other(report):
    text = report.read_text("utf-8")
    elements = Elements(text).found
    addresses = [a[name] for _, a in elements for name in ("src", "href") if name in a]
    assert addresses and all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", text)
    assert "default-src 'none'" in text


def test_names_are_text_and_never_markup(report):
    text = report.read_text("utf-8")
    assert EVIL not in text and "&lt;script&gt;alert(1)" in text
    assert sum(tag == "script" for tag, _ in Elements(text).found) == 1


def test_the_page_shows_views_truth_and_prediction_of_nine_objects(report):
    elements = Elements(report.read_text("utf-8")).found
    assert sum(tag == "canvas" for tag, _ in elements) == 2 * 9
    assert sum(tag == "img" for tag, _ in elements) == (3 + 2) * 9


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 100])
def test_examples_are_the_best_the_median_and_the_worst_and_none_twice(count):
    ious = np.random.default_rng(count).permutation(count) / count
    examples = choose_examples(ious)
    numbers = [number for _, number in examples]
    assert len(set(numbers)) == len(numbers) <= 9
    assert ious[numbers].tolist() == sorted(ious[numbers], reverse=True)
    assert examples[0] == ("best", ious.argmax())
    if count > 2:
        assert examples[-1] == ("worst", ious.argmin())
        assert {kind for kind, _ in examples} == {"best", "median", "worst"}
    if count == 100:
        assert [round(100 * ious[number]) for kind, number in examples if kind == "median"] == [
            51,
            50,
            49,
        ]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_the_voxels_are_drawn_and_turn_with_the_mouse(browser, report):
    browser.open(report)
    before = [browser.canvas(number) for number in range(4)]
    for pixels in before:
        assert 0.05 < (pixels[..., 3] > 0).mean() < 0.95
    browser.drag(0, 60, 20)
    after = [browser.canvas(number) for number in range(4)]
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    assert changed == [True, True, False, False]  # truth and prediction of the object together
    browser.drag(0, -60, -20)
    assert np.array_equal(browser.canvas(0), before[0])
    assert browser.messages() == []


def test_the_canvas_shows_what_the_picture_shows(browser, tmp_path, grids):
    grid = grids[1]
    page.write_page(tmp_path / "a.html", "a", [page.together("a", [page.voxels(grid, "a")])])
    browser.open(tmp_path / "a.html")
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


def test_a_page_of_an_empty_grid_has_no_error(browser, tmp_path):
    empty = np.zeros((32, 32, 32), bool)
    page.write_page(tmp_path / "a.html", EVIL, [page.together(EVIL, [page.voxels(empty, EVIL)])])
    browser.open(tmp_path / "a.html")
    assert not browser.canvas(0).any() and browser.messages() == []
    assert browser.script("return document.title") == EVIL

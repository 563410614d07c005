import base64
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from utils.draw import draw_voxels
from utils.report import Example, choose_examples, write_prediction_page, write_report
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
        mirror=True,
        threshold=0.4,
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


def test_report_is_self_contained(report):
    text = report.read_text("utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert addresses and all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", text)


def test_names_are_escaped(report):
    text = report.read_text("utf-8")
    assert EVIL not in text and "&lt;script&gt;alert(1)" in text
    assert text.count("<script") == 1


@pytest.mark.parametrize("count", [1, 2, 100])
def test_examples_are_best_median_and_worst_without_repetition(count):
    ious = np.random.default_rng(count).permutation(count) / count
    examples = choose_examples(ious)
    chosen = [i for _, i in examples]
    assert len(set(chosen)) == len(chosen) <= 9
    assert ious[chosen].tolist() == sorted(ious[chosen], reverse=True)
    assert examples[0] == ("best", ious.argmax())
    if count > 1:
        assert examples[-1] == ("worst", ious.argmin())
    if count == 100:
        medians = [round(100 * ious[i]) for kind, i in examples if kind == "median"]
        assert medians == [51, 50, 49]


def test_page_of_a_prediction_shows_views_and_voxels(tmp_path, grids):
    views = [(Image.new("RGBA", (137, 137)), caption) for caption in (EVIL, "")]
    write_prediction_page(tmp_path / "a.html", EVIL, views, np.stack(grids))
    text = (tmp_path / "a.html").read_text("utf-8")
    labels = ("input 1", "input 2", "voxels: after view 1", "voxels: after view 2")
    assert EVIL not in text and all(label in text for label in labels)


@pytest.fixture(scope="module")
def page():
    """A page in Chromium, as wide as a phone's; needs `pip install playwright`."""
    api = pytest.importorskip("playwright.sync_api")
    if not (chromium := shutil.which("chromium")):
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        yield page
        browser.close()


def pixels(page, i):
    """Canvas i on white, (256, 256, 3)."""
    url = page.locator("canvas").nth(i).evaluate("canvas => canvas.toDataURL()")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image))[..., :3]


def test_voxels_rotate_by_mouse_and_keyboard(page, report):
    page.goto(report.as_uri())
    before = [pixels(page, i) for i in range(4)]
    canvas = page.locator("canvas").first
    canvas.hover()
    page.mouse.down()
    page.mouse.move(200, 300)
    page.mouse.up()
    changed = [not np.array_equal(pixels(page, i), before[i]) for i in range(4)]
    assert changed == [True, True, False, False]  # ground truth and prediction together
    page.get_by_role("button").first.click()
    assert np.array_equal(pixels(page, 0), before[0])
    for key in ("ArrowLeft", "ArrowUp"):
        canvas.press(key)
        assert not np.array_equal(pixels(page, 0), before[0])
        page.get_by_role("button").first.click()


def test_report_fits_a_phone(page, report):
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_viewer_draws_what_draw_voxels_does(page, report, grids):
    page.goto(report.as_uri())
    for azimuth in (30, 90, 150, 210):
        expected = np.asarray(draw_voxels(grids[1], 256, azimuth=azimuth), int)
        assert (np.abs(pixels(page, 1) - expected).max(-1) > 40).mean() < 0.02
        for _ in range(12):
            page.locator("canvas").nth(1).press("ArrowRight")  # by 5 degrees

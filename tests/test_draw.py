import numpy as np
import pytest
from PIL import Image

from data.contact_sheet import contact_sheet
from data.shapenet import index_dataset
from tests.helpers import make_dataset
from utils.draw import draw_prediction, draw_surface, draw_voxels


def ink(image: Image.Image) -> np.ndarray:
    """Where an image is not white: (H, W) bool."""
    return (np.asarray(image) < 250).any(-1)


def test_draw_voxels_looks_from_the_azimuth():
    grid = np.zeros((8, 8, 8), bool)
    grid[7, 0, 0:2] = True  # in front (+x), at the bottom, towards -z
    for azimuth, side in ((0, "right"), (180, "left")):
        rows, columns = np.nonzero(ink(draw_voxels(grid, 64, azimuth, elevation=0)))
        assert rows.min() > 40
        assert columns.min() > 32 if side == "right" else columns.max() < 32
    assert not ink(draw_voxels(np.zeros((8, 8, 8), bool), 64)).any()


@pytest.mark.parametrize(("num_views", "columns", "rows"), [(1, 3, 2), (2, 3, 3), (10, 5, 5)])
def test_prediction_shows_each_view_each_step_and_three_sides(num_views, columns, rows):
    views = [(Image.new("RGBA", (137, 137)), "cut out")] * num_views
    probs = np.zeros((num_views, 8, 8, 8))
    probs[:, 2:5, 0:7, 3:5] = 0.6
    page = draw_prediction(views, probs, 0.5)
    assert page.size == (16 + columns * (320 + 16), 16 + rows * (30 + 320 + 16))
    rendered = ink(page)[:, : columns * 336].reshape(page.height, columns, 336)
    assert rendered.any(axis=(0, 2)).all()


def test_smooth_prediction_covers_what_voxels_cover():
    probs = np.zeros((16, 16, 16), np.float32)
    probs[4:12, 2:14, 4:12] = 0.9
    cubes, smooth = ink(draw_voxels(probs > 0.5, 64)), ink(draw_surface(probs, 64, threshold=0.5))
    assert (cubes & smooth).sum() > 0.8 * (cubes | smooth).sum()
    assert not ink(draw_surface(probs, 64, threshold=0.95)).any()


@pytest.fixture
def small(tmp_path):
    """Three shapes with metadata of their five views."""
    make_dataset(tmp_path, {"03001627": 2, "box": 1})
    return tmp_path


def test_contact_sheet_shows_two_views_and_the_voxels_of_each_shape(small):
    index = index_dataset(small)
    sheet = contact_sheet(index, limit=10)
    assert sheet.width == 28 + 3 * (3 * 137 + 28)
    for left in range(28, sheet.width, 3 * 137 + 28):
        for start in range(left, left + 3 * 137, 137):
            assert ink(sheet)[:, start : start + 137].any()
    voxels = draw_voxels(index.load_voxels(0).astype(bool), 137)
    box = (28 + 2 * 137, sheet.height - 28 - 137)
    assert np.array_equal(sheet.crop((*box, box[0] + 137, box[1] + 137)), voxels)


@pytest.mark.parametrize(("flag", "name"), [("--limit=0", "--limit"), ("--out=a.xyz", "a.xyz")])
def test_contact_sheet_refuses_bad_flags(error_of, small, flag, name):
    assert name in error_of("data.contact_sheet", small, "--out=a.png", flag)

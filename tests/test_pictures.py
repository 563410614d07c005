import numpy as np
from PIL import Image

from utils.visualize import draw_voxels, image_grid


def test_a_drawing_shows_what_a_camera_at_its_azimuth_sees():
    grid = np.zeros((8, 8, 8), bool)
    grid[7, 0, 0:2] = True  # in front (+x), at the bottom, towards -z
    for azimuth, side in ((0, "right"), (180, "left")):
        pixels = np.asarray(draw_voxels(grid, 64, azimuth, elevation=0)) < 250
        rows, columns = np.nonzero(pixels.any(-1))
        assert rows.min() > 40
        assert columns.min() > 32 if side == "right" else columns.max() < 32
    assert (np.asarray(draw_voxels(np.zeros((8, 8, 8), bool), 64)) == 255).all()


def test_rows_stand_on_each_other_with_their_columns_in_line():
    black, red = Image.new("RGB", (10, 20)), Image.new("RGB", (30, 10), (255, 0, 0))
    page = image_grid([[black, red], [red]], gap=5)
    assert page.size == (30 + 5 + 30, 20 + 5 + 10)
    assert page.getpixel((15, 10)) == (0, 0, 0)  # in the middle of its column
    assert page.getpixel((1, 1)) == page.getpixel((64, 34)) == (255, 255, 255)
    assert page.getpixel((15, 30)) == page.getpixel((50, 10)) == (255, 0, 0)

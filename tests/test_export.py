import numpy as np
import pytest
import trimesh
from PIL import Image

from data.binvox import read_binvox
from utils.errors import UserError
from utils.export import exposed_faces, save_prediction, write_obj
from utils.pictures import draw_voxels, side_by_side


@pytest.fixture
def occupied():
    """An arch and a separate block."""
    grid = np.zeros((8, 8, 8), bool)
    grid[1:7, 1:6, 2:4] = True
    grid[3:5, 1:4, 2:4] = False
    grid[6:8, 6:8, 6:8] = True
    return grid


def test_the_surface_is_closed_faces_outward_and_holds_the_voxels(tmp_path, occupied):
    write_obj(tmp_path / "a.obj", occupied)
    mesh = trimesh.load(tmp_path / "a.obj")
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume * 8**3 == pytest.approx(occupied.sum())
    cells = np.argwhere(occupied)
    assert mesh.bounds.tolist() == (np.array([cells.min(0), cells.max(0) + 1]) / 8 - 0.5).tolist()


def test_faces_between_two_occupied_cells_are_left_out(occupied):
    corners, normals = exposed_faces(occupied)
    padded = np.pad(occupied, 1)
    steps = sum(int(np.sum(np.diff(padded.astype(int), axis=axis) != 0)) for axis in range(3))
    assert len(corners) == len(normals) == steps
    turned = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1])
    assert np.array_equal(turned, normals)


@pytest.mark.parametrize("form", [".obj", ".binvox", ".npy"])
def test_a_prediction_is_written_in_the_form_of_its_ending(tmp_path, occupied, form):
    probability = np.where(occupied, 0.5, 0.3).astype(np.float32)
    path = tmp_path / f"a{form}"
    save_prediction(path, probability, threshold=0.4)
    if form == ".npy":
        assert np.array_equal(np.load(path), probability)
    elif form == ".binvox":
        assert np.array_equal(read_binvox(path), occupied)
    else:
        assert trimesh.load(path).volume * 8**3 == pytest.approx(occupied.sum())


def test_an_empty_prediction_is_a_file_without_faces(tmp_path):
    assert save_prediction(tmp_path / "a.obj", np.zeros((4, 4, 4)), 0.4) == "0 occupied voxels"
    assert "\nf " not in (tmp_path / "a.obj").read_text()


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.xyz"):
        save_prediction(tmp_path / "a.xyz", np.zeros((4, 4, 4)), 0.4)


def test_a_drawing_shows_what_a_camera_at_its_azimuth_sees():
    grid = np.zeros((8, 8, 8), bool)
    grid[7, 0, 0:2] = True  # in front (+x), at the bottom, towards -z
    for azimuth, side in ((0, "right"), (180, "left")):
        pixels = np.asarray(draw_voxels(grid, 64, azimuth, elevation=0)) < 250
        rows, columns = np.nonzero(pixels.any(-1))
        assert rows.min() > 40
        assert columns.min() > 32 if side == "right" else columns.max() < 32
    assert (np.asarray(draw_voxels(np.zeros((8, 8, 8), bool), 64)) == 255).all()


def test_pictures_stand_side_by_side():
    row = side_by_side([Image.new("RGB", (10, 20)), Image.new("RGB", (30, 10))], gap=5)
    assert row.size == (45, 20)
    assert row.getpixel((12, 10)) == (255, 255, 255) and row.getpixel((0, 0)) == (0, 0, 0)

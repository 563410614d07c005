import numpy as np
import trimesh

from data.builder.mesh import concatenate
from data.builder.voxelize import voxelize


def cells(mesh, grid=32):
    return voxelize(concatenate([mesh]), grid)


def test_a_cube_fills_the_grid():
    assert cells(trimesh.creation.box((2, 2, 2))).all()


def test_the_longest_side_spans_the_grid_and_the_box_is_centred():
    occupied = cells(trimesh.creation.box((1, 2, 0.5)))
    assert occupied[8:24, :, 12:20].all()
    assert occupied.sum() == 16 * 32 * 8


def test_a_ball_has_its_volume_and_its_symmetry():
    occupied = cells(trimesh.creation.icosphere(4))
    # Every cell that is touched counts, which adds about half a cell to the radius.
    assert 4 / 3 * np.pi * 16**3 < occupied.sum() < 4 / 3 * np.pi * 17**3
    for axis in range(3):
        assert (occupied == np.flip(occupied, axis)).mean() > 0.99


def test_axes_are_not_swapped():
    mesh = trimesh.util.concatenate(
        [
            trimesh.creation.box(bounds=[[0, 0, 0], [32, 2, 2]]),
            trimesh.creation.box(bounds=[[0, 0, 0], [2, 32, 2]]),
            trimesh.creation.box(bounds=[[0, 0, 0], [2, 2, 8]]),
        ]
    )
    occupied = cells(mesh)
    assert occupied[20, 1, 13] and occupied[1, 20, 13] and occupied[1, 1, 19]
    assert occupied.sum() == 2 * 2 * (32 + 30 + 6)


def test_a_surface_with_holes_is_filled():
    ball = trimesh.creation.icosphere(4)
    keep = np.random.default_rng(0).random(len(ball.faces)) > 0.02
    keep[np.argmax(ball.triangles_center @ [1, 1, 1])] = False
    occupied = cells(trimesh.Trimesh(ball.vertices, ball.faces[keep], process=False))
    assert occupied[12:20, 12:20, 12:20].mean() > 0.95


def test_loose_sheets_keep_their_thin_parts():
    bar = trimesh.creation.box(bounds=[[-0.5, -0.001, -0.001], [0.5, 0.001, 0.001]])
    pole = trimesh.creation.box(bounds=[[-0.001, -0.5, -0.001], [0.001, 0.5, 0.001]])
    occupied = cells(trimesh.util.concatenate([bar, pole]))
    assert occupied.any(axis=(1, 2)).all()
    assert occupied.any(axis=(0, 2)).all()


def test_a_sheet_without_thickness_is_kept():
    occupied = cells(trimesh.Trimesh([[0, 0, 0], [1, 0, 0.3], [0, 1, 0.3]], [[0, 1, 2]]))
    assert occupied.sum() > 200


def test_what_is_open_to_a_side_stays_open():
    shelf = trimesh.util.concatenate(
        [
            trimesh.creation.box(bounds=[[0, 0, 0], [32, 2, 32]]),
            trimesh.creation.box(bounds=[[0, 30, 0], [32, 32, 32]]),
            trimesh.creation.box(bounds=[[0, 0, 0], [2, 32, 32]]),
        ]
    )
    occupied = cells(shelf)
    assert not occupied[2:, 2:30].any()


def test_finer_grids_show_the_same_object():
    mesh = trimesh.creation.torus(1, 0.4)
    coarse, fine = cells(mesh), cells(mesh, 64)
    assert fine.shape == (64, 64, 64)
    joined = fine.reshape(32, 2, 32, 2, 32, 2).any(axis=(1, 3, 5))
    assert (joined & coarse).sum() / (joined | coarse).sum() > 0.95

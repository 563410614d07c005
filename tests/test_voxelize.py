import numpy as np
import trimesh

from data.builder.mesh import make_mesh
from data.builder.voxelize import voxelize


def voxels_of(mesh, resolution=32):
    return voxelize(make_mesh(mesh.triangles), resolution)


def boxes(*bounds):
    return trimesh.util.concatenate([trimesh.creation.box(bounds=corners) for corners in bounds])


def test_ball_keeps_volume_and_symmetry():
    voxels = voxels_of(trimesh.creation.icosphere(4))
    # Every voxel that is touched counts, which adds about half a voxel to the radius.
    assert 4 / 3 * np.pi * 16**3 < voxels.sum() < 4 / 3 * np.pi * 17**3
    for axis in range(3):
        assert (voxels == np.flip(voxels, axis)).mean() > 0.99


def test_axes_are_not_swapped():
    corners = [32, 2, 2], [2, 32, 2], [2, 2, 8]
    voxels = voxels_of(boxes(*([[0, 0, 0], corner] for corner in corners)))
    assert voxels[20, 1, 13] and voxels[1, 20, 13] and voxels[1, 1, 19]
    assert voxels.sum() == 2 * 2 * (32 + 30 + 6)


def test_mesh_with_holes_is_filled():
    ball = trimesh.creation.icosphere(4)
    keep = np.random.default_rng(0).random(len(ball.faces)) > 0.02
    keep[np.argmax(ball.triangles_center @ [1, 1, 1])] = False
    voxels = voxels_of(trimesh.Trimesh(ball.vertices, ball.faces[keep], process=False))
    assert voxels[12:20, 12:20, 12:20].mean() > 0.95


def test_thin_parts_and_sheets_are_kept():
    bar, pole = np.array([[0.5, 0.001, 0.001], [0.001, 0.5, 0.001]])
    voxels = voxels_of(boxes([-bar, bar], [-pole, pole]))
    assert voxels.any(axis=(1, 2)).all() and voxels.any(axis=(0, 2)).all()
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0.3], [0, 1, 0.3]], [[0, 1, 2]])
    assert voxels_of(sheet).sum() > 200


def test_shelf_stays_open():
    bottom, top = [[0, 0, 0], [32, 2, 32]], [[0, 30, 0], [32, 32, 32]]
    back = [[0, 0, 0], [2, 32, 32]]
    voxels = voxels_of(boxes(bottom, top, back))
    assert not voxels[2:, 2:30].any()


def test_finer_grid_shows_the_same_shape():
    mesh = trimesh.creation.torus(1, 0.4)
    coarse, fine = voxels_of(mesh), voxels_of(mesh, 64)
    assert fine.shape == (64, 64, 64)
    joined = fine.reshape(32, 2, 32, 2, 32, 2).any(axis=(1, 3, 5))
    assert (joined & coarse).sum() / (joined | coarse).sum() > 0.95

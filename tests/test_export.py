import numpy as np
import pytest
import trimesh

from data.binvox import read_binvox
from utils.errors import InputError
from utils.export import SURFACES, save_prediction
from utils.surface import exposed_faces, marching_cubes, voxels_to_mesh


@pytest.fixture
def occupied():
    """An arch and a separate block."""
    grid = np.zeros((8, 8, 8), bool)
    grid[1:7, 1:6, 2:4] = True
    grid[3:5, 1:4, 2:4] = False
    grid[6:8, 6:8, 6:8] = True
    return grid


def load(path):
    return trimesh.load(path, force="mesh")


@pytest.mark.parametrize("form", SURFACES)
def test_the_surface_is_closed_faces_outward_and_holds_the_voxels(tmp_path, occupied, form):
    path = tmp_path / f"a{form}"
    save_prediction(path, occupied.astype(float), 0.4)
    mesh = load(path)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume * 8**3 == pytest.approx(occupied.sum())
    cells = np.argwhere(occupied)
    assert mesh.bounds.tolist() == (np.array([cells.min(0), cells.max(0) + 1]) / 8 - 0.5).tolist()


def two_cells(*offset):
    grid = np.zeros((4, 4, 4), bool)
    grid[1, 1, 1] = grid[1 + offset[0], 1 + offset[1], 1 + offset[2]] = True
    return grid


PILLAR = np.ones((4, 4, 4), bool)  # two cells that touch along an edge, joined above and below
PILLAR[0, 1, 1:3] = PILLAR[1, 0, 1:3] = False
TOUCHING = {
    "edge": two_cells(1, 1, 0),
    "other diagonal": two_cells(0, 1, -1),
    "corner": two_cells(1, 1, 1),
    "joined above and below": PILLAR,
    "noise": np.random.default_rng(0).random((9, 9, 9)) < 0.5,
    "all": np.ones((3, 3, 3), bool),
}


@pytest.mark.parametrize("form", SURFACES)
@pytest.mark.parametrize("grid", TOUCHING.values(), ids=TOUCHING)
def test_cells_that_touch_along_an_edge_or_in_a_corner_leave_two_faces_at_each_edge(
    tmp_path, grid, form
):
    vertices, faces = voxels_to_mesh(grid)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert len(np.unique(vertices, axis=0)) == len(vertices)
    path = tmp_path / f"a{form}"
    save_prediction(path, grid.astype(float), 0.4)
    mesh = load(path)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume * grid.size == pytest.approx(grid.sum())
    assert (mesh.area_faces > 0).all()


@pytest.mark.parametrize("form", SURFACES)
def test_a_smooth_surface_of_a_ball_is_closed_and_lies_where_the_ball_does(tmp_path, form):
    x, y, z = (np.indices((32, 32, 32)) + 0.5) / 32 - 0.5
    distance = np.sqrt((x - 0.1) ** 2 + y**2 + z**2)
    probability = 1 / (1 + np.exp(40 * (distance - 0.3)))
    path = tmp_path / f"a{form}"
    save_prediction(path, probability, 0.5, smoothed=True)
    mesh = load(path)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.01)
    assert mesh.centroid == pytest.approx([0.1, 0, 0], abs=0.002)
    assert np.linalg.norm(mesh.vertices - [0.1, 0, 0], axis=1) == pytest.approx(0.3, abs=0.003)


def test_a_smooth_surface_is_closed_where_the_object_fills_the_grid():
    mesh = trimesh.Trimesh(*marching_cubes(np.ones((4, 4, 4)), 0.4))
    assert mesh.is_watertight and 0.9 < mesh.volume < 1.1


def test_faces_between_two_occupied_cells_are_left_out(occupied):
    corners, normals = exposed_faces(occupied)
    padded = np.pad(occupied, 1)
    steps = sum(int(np.sum(np.diff(padded.astype(int), axis=axis) != 0)) for axis in range(3))
    assert len(corners) == len(normals) == steps
    turned = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1])
    assert np.array_equal(turned, normals)


def test_voxels_and_probabilities_are_written_as_they_are(tmp_path, occupied):
    probability = np.where(occupied, 0.5, 0.3).astype(np.float32)
    save_prediction(tmp_path / "a.npy", probability, threshold=0.4)
    save_prediction(tmp_path / "a.binvox", probability, threshold=0.4)
    assert np.array_equal(np.load(tmp_path / "a.npy"), probability)
    assert np.array_equal(read_binvox(tmp_path / "a.binvox"), occupied)


@pytest.mark.parametrize("form", SURFACES)
@pytest.mark.parametrize("smoothed", [False, True])
def test_an_empty_prediction_is_a_file_without_faces(tmp_path, form, smoothed):
    path = tmp_path / f"a{form}"
    written = save_prediction(path, np.zeros((4, 4, 4)), 0.4, smoothed)
    assert written == "0 occupied voxels"
    if form == ".obj":
        assert path.read_text().count("\n") == 1
    else:
        assert len(load(path).faces) == 0


@pytest.mark.parametrize(("name", "smoothed"), [("a.xyz", False), ("a.binvox", True)])
def test_another_ending_is_refused(tmp_path, name, smoothed):
    with pytest.raises(InputError, match=name):
        save_prediction(tmp_path / name, np.zeros((4, 4, 4)), 0.4, smoothed)

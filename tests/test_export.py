import numpy as np
import pytest
import trimesh

from utils.errors import InputError
from utils.voxels import (
    EXPORTERS,
    MESH_SUFFIXES,
    exposed_faces,
    marching_cubes,
    read_binvox,
    save_mesh,
    save_prediction,
    voxels_to_mesh,
)


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


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_mesh_is_watertight_and_has_the_volume_of_the_voxels(tmp_path, occupied, suffix):
    path = tmp_path / f"a{suffix}"
    save_prediction(path, occupied.astype(float), 0.4)
    mesh = load(path)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume * 8**3 == pytest.approx(occupied.sum())
    voxels = np.argwhere(occupied)
    assert mesh.bounds.tolist() == (np.array([voxels.min(0), voxels.max(0) + 1]) / 8 - 0.5).tolist()


def two_voxels(*offset):
    grid = np.zeros((4, 4, 4), bool)
    grid[1, 1, 1] = grid[1 + offset[0], 1 + offset[1], 1 + offset[2]] = True
    return grid


PILLAR = np.ones((4, 4, 4), bool)  # two voxels that touch along an edge, joined above and below
PILLAR[0, 1, 1:3] = PILLAR[1, 0, 1:3] = False
TOUCHING = {
    "edge": two_voxels(1, 1, 0),
    "other diagonal": two_voxels(0, 1, -1),
    "corner": two_voxels(1, 1, 1),
    "joined above and below": PILLAR,
    "noise": np.random.default_rng(0).random((9, 9, 9)) < 0.5,
    "all": np.ones((3, 3, 3), bool),
}


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
@pytest.mark.parametrize("grid", TOUCHING.values(), ids=TOUCHING)
def test_mesh_has_two_triangles_at_every_edge(tmp_path, grid, suffix):
    vertices, faces = voxels_to_mesh(grid)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert len(np.unique(vertices, axis=0)) == len(vertices)
    path = tmp_path / f"a{suffix}"
    save_prediction(path, grid.astype(float), 0.4)
    mesh = load(path)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume * grid.size == pytest.approx(grid.sum())
    assert (mesh.area_faces > 0).all()


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_smooth_mesh_of_a_ball_is_the_ball(tmp_path, suffix):
    x, y, z = (np.indices((32, 32, 32)) + 0.5) / 32 - 0.5
    distance = np.sqrt((x - 0.1) ** 2 + y**2 + z**2)
    probs = 1 / (1 + np.exp(40 * (distance - 0.3)))
    path = tmp_path / f"a{suffix}"
    save_prediction(path, probs, 0.5, smooth=True)
    mesh = load(path)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.01)
    assert mesh.centroid == pytest.approx([0.1, 0, 0], abs=0.002)
    assert np.linalg.norm(mesh.vertices - [0.1, 0, 0], axis=1) == pytest.approx(0.3, abs=0.003)


@pytest.mark.parametrize("threshold", [0.7, 1])
def test_smooth_mesh_exists_where_the_highest_probability_is_the_threshold(threshold):
    probs = np.zeros((8, 8, 8), np.float32)
    probs[2:5, 3:6, 2:6] = threshold
    mesh = trimesh.Trimesh(*marching_cubes(probs, float(np.float32(threshold))))
    assert mesh.is_watertight and mesh.volume > 0


def test_smooth_mesh_is_closed_where_the_object_fills_the_grid():
    mesh = trimesh.Trimesh(*marching_cubes(np.ones((4, 4, 4)), 0.4))
    assert mesh.is_watertight and 0.9 < mesh.volume < 1.1


def test_exposed_faces_are_those_between_occupied_and_empty(occupied):
    corners, normals = exposed_faces(occupied)
    padded = np.pad(occupied, 1)
    steps = sum(int(np.sum(np.diff(padded.astype(int), axis=axis) != 0)) for axis in range(3))
    assert len(corners) == len(normals) == steps
    turned = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1])
    assert np.array_equal(turned, normals)


def test_binvox_holds_occupancy_and_npy_probabilities(tmp_path, occupied):
    probs = np.where(occupied, 0.5, 0.3).astype(np.float32)
    save_prediction(tmp_path / "a.npy", probs, threshold=0.4)
    save_prediction(tmp_path / "a.binvox", probs, threshold=0.4)
    assert np.array_equal(np.load(tmp_path / "a.npy"), probs)
    assert np.array_equal(read_binvox(tmp_path / "a.binvox"), occupied)


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
@pytest.mark.parametrize("smooth", [False, True])
def test_empty_prediction_is_a_mesh_without_faces(tmp_path, suffix, smooth):
    path = tmp_path / f"a{suffix}"
    save_prediction(path, np.zeros((4, 4, 4)), 0.4, smooth)
    if suffix == ".obj":
        assert path.read_text().count("\n") == 1
    else:
        assert len(load(path).faces) == 0


@pytest.mark.parametrize(("name", "smooth"), [("a.xyz", False), ("a.binvox", True)])
def test_unknown_suffix_is_refused(tmp_path, name, smooth):
    with pytest.raises(InputError, match=name):
        save_prediction(tmp_path / name, np.zeros((4, 4, 4)), 0.4, smooth)


def test_every_suffix_has_an_exporter(tmp_path, occupied):
    for suffix in EXPORTERS:
        save_prediction(tmp_path / f"A{suffix.upper()}", occupied.astype(float), 0.4)
    assert len(list(tmp_path.iterdir())) == len(EXPORTERS) == 6
    with pytest.raises(InputError, match=r"a\.npy"):
        save_mesh(tmp_path / "a.npy", *voxels_to_mesh(occupied))

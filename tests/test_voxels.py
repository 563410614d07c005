import numpy as np
import pytest
import trimesh

from data.builder.mesh import rotation, transform
from data.builder.voxelize import voxelize
from tests.helpers import load_mesh
from utils.draw import draw_voxels
from utils.errors import InputError
from utils.voxels import (
    MESH_SUFFIXES,
    SUFFIXES,
    axes_of,
    marching_cubes,
    read_binvox,
    save_mesh,
    save_prediction,
    voxels_to_mesh,
    write_binvox,
)


@pytest.fixture
def occupied():
    """An arch with a block on one side, in the middle of the grid and as high as it."""
    grid = np.zeros((8, 8, 8), bool)
    grid[1:7, 0:6, 2:4] = True
    grid[3:5, 0:4, 2:4] = False
    grid[5:7, 6:8, 2:6] = True
    return grid


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


@pytest.mark.parametrize("grid", TOUCHING.values(), ids=TOUCHING)
def test_mesh_has_two_triangles_at_every_edge_and_the_volume_of_the_voxels(grid):
    vertices, faces = voxels_to_mesh(grid)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert len(np.unique(vertices, axis=0)) == len(vertices)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_winding_consistent and (mesh.area_faces > 0).all()
    assert mesh.volume * grid.size == pytest.approx(grid.sum())
    voxels = np.argwhere(grid)
    corners = np.array([voxels.min(0), voxels.max(0) + 1]) / len(grid) - 0.5
    assert mesh.bounds == pytest.approx(corners)


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_builder_reads_each_format_back_to_the_same_voxels(tmp_path, occupied, suffix):
    path = tmp_path / f"a{suffix}"
    save_prediction(path, occupied.astype(float), 0.4)
    up, front = {".glb": ("y", "z"), ".stl": ("z", "-y")}.get(suffix, ("y", "x"))
    assert axes_of(path) == f"{up} up, front {'' if '-' in front else '+'}{front}"
    mesh = transform(load_mesh(path), rotation(up, front))
    assert np.array_equal(voxelize(mesh, 8), occupied)
    assert trimesh.load(path, force="mesh").is_watertight


def ball(center, radius):
    points = (np.indices((32, 32, 32)).T + 0.5) / 32 - 0.5  # z, y, x, 3
    distance = np.linalg.norm(points - center, axis=-1).T
    return 1 / (1 + np.exp(40 * (distance - radius)))


def test_smooth_mesh_of_a_ball_is_the_ball():
    mesh = trimesh.Trimesh(*marching_cubes(ball([0.1, 0, 0], 0.3), 0.5))
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.01)
    assert np.linalg.norm(mesh.vertices - [0.1, 0, 0], axis=1) == pytest.approx(0.3, abs=0.003)


def test_smooth_glb_has_normals_and_a_material_with_two_sides(tmp_path):
    path = tmp_path / "a.glb"
    save_prediction(path, ball([0.1, 0, 0], 0.3), 0.5, smooth=True)
    mesh = trimesh.load(path, force="mesh", process=False)
    outward = (mesh.vertices - [0, 0, 0.1]) / 0.3
    assert (mesh.vertex_normals * outward).sum(1).min() > 0.98
    assert mesh.visual.material.doubleSided and b"NORMAL" in path.read_bytes()
    save_prediction(path, ball([0.1, 0, 0], 0.3), 0.5)
    assert b"NORMAL" not in path.read_bytes()  # cubes are shaded flat


@pytest.mark.parametrize("threshold", [0.7, 1])
def test_smooth_mesh_exists_where_the_highest_probability_is_the_threshold(threshold):
    probs = np.zeros((8, 8, 8), np.float32)
    probs[2:5, 3:6, 2:6] = threshold
    mesh = trimesh.Trimesh(*marching_cubes(probs, float(np.float32(threshold))))
    assert mesh.is_watertight and mesh.volume > 0


@pytest.mark.parametrize("use", [voxels_to_mesh, draw_voxels, lambda v: write_binvox("a", v)])
def test_probabilities_are_not_taken_for_voxels(use):
    with pytest.raises(ValueError, match="float32"):
        use(np.full((4, 4, 4), 0.1, np.float32))


def test_binvox_holds_occupancy_and_npy_probabilities(tmp_path, occupied):
    probs = np.where(occupied, 0.5, 0.3).astype(np.float32)
    save_prediction(tmp_path / "a.npy", probs, threshold=0.4)
    save_prediction(tmp_path / "a.binvox", probs, threshold=0.4)
    assert np.array_equal(np.load(tmp_path / "a.npy"), probs)
    assert np.array_equal(read_binvox(tmp_path / "a.binvox"), occupied)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_prediction_is_written(tmp_path, suffix):
    path = tmp_path / f"A{suffix.upper()}"
    save_prediction(path, np.zeros((4, 4, 4)), 0.4)
    if suffix == ".obj":
        assert path.read_text().count("\n") == 1
    elif suffix in MESH_SUFFIXES:
        assert len(trimesh.load(path, force="mesh").faces) == 0


@pytest.mark.parametrize(("name", "smooth"), [("a.xyz", False), ("a.binvox", True)])
def test_unknown_suffix_is_refused(tmp_path, name, smooth):
    with pytest.raises(InputError, match=name):
        save_prediction(tmp_path / name, np.zeros((4, 4, 4)), 0.4, smooth)
    with pytest.raises(InputError, match=r"a\.npy"):
        save_mesh(tmp_path / "a.npy", np.zeros((0, 3)), np.zeros((0, 3), int))


@pytest.mark.parametrize("resolution", [1, 5, 64])
@pytest.mark.parametrize("fraction", [0, 0.02, 1])
def test_binvox_round_trip(tmp_path, resolution, fraction):
    voxels = np.random.default_rng(0).random((resolution,) * 3) < fraction
    write_binvox(tmp_path / "model.binvox", voxels)
    assert np.array_equal(read_binvox(tmp_path / "model.binvox"), voxels)


def test_binvox_order_is_x_z_y(tmp_path):
    write_binvox(tmp_path / "a.binvox", np.indices((2, 2, 2))[1] == 1)  # y 1
    assert (tmp_path / "a.binvox").read_bytes().endswith(bytes([0, 1, 1, 1] * 4))


def test_write_binvox_reproduces_official_files(real, tmp_path):
    for path in sorted(real.glob("ShapeNetVox32/*/*/model.binvox")):
        official = path.read_bytes()
        header = dict(line.split(b" ", 1) for line in official.split(b"\n")[1:4])
        translate = tuple(map(float, header[b"translate"].split()))
        write_binvox(tmp_path / "a.binvox", read_binvox(path), translate, float(header[b"scale"]))
        assert (tmp_path / "a.binvox").read_bytes() == official


GOOD = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n\x00\x08"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        GOOD[:-1],
        GOOD.replace(b"\x08", b"\x07"),
        GOOD.replace(b"2 2 2", b"2 2 3"),
        GOOD.replace(b"dim 2 2 2\n", b""),
    ],
)
def test_read_binvox_refuses_damaged_files(tmp_path, content):
    path = tmp_path / "model.binvox"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.binvox"):
        read_binvox(path)

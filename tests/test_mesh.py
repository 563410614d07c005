import numpy as np
import pytest
import trimesh
from PIL import EpsImagePlugin, Image

from data.builder.mesh import (
    concatenate,
    make_mesh,
    normalize,
    rotation,
    smooth_normals,
    transform,
)
from tests.helpers import load_mesh
from utils.errors import InputError

TRIANGLE = "mtllib m.mtl\nusemtl m\nv 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\nvn 0 0 2\n"


def test_eps_texture_is_not_run(read, tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "t.eps")
    (tmp_path / "t.eps").rename(tmp_path / "t.png")
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", None)  # its decoder runs a program
    mesh = read("a.obj", f"{TRIANGLE}f 1/1 2/1 3/1\n", m_mtl="newmtl m\nmap_Kd t.png\n")
    assert mesh.textures == [] and "t.png" in read.notes[0] and len(read.notes) == 1


@pytest.mark.parametrize("kind", ["off", "ply", "stl", "glb", "obj"])
def test_all_formats_give_the_same_triangles(tmp_path, kind):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / f"box.{kind}")
    surface = load_mesh(tmp_path / f"box.{kind}")
    assert len(surface.triangles) == 12
    np.testing.assert_allclose(surface.bounds, [[-0.5, -1, -1.5], [0.5, 1, 1.5]])


def test_no_triangles_and_infinite_coordinates_are_errors():
    with pytest.raises(InputError, match="expected triangles, found none"):
        concatenate([])
    triangles = np.array([[[0, 0, 0], [1, 0, 0], [0, np.inf, 0]]])
    with pytest.raises(InputError, match="expected finite coordinates"):
        make_mesh(triangles, normals=np.zeros((1, 3, 3)))


def test_smooth_normals_keep_sharp_edges():
    ball, box = trimesh.creation.icosphere(2), trimesh.creation.box()
    for solid, expected, tolerance in (
        (ball, ball.triangles, 0.05),
        (box, np.repeat(box.face_normals[:, None], 3, axis=1), 1e-12),
    ):
        normals = smooth_normals(solid.triangles)
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        np.testing.assert_allclose(normals, expected, atol=tolerance)


def test_shapenet_rotation_is_270_degrees_about_y():
    turn = trimesh.transformations.rotation_matrix(np.radians(270), [0, 1, 0])[:3, :3]
    np.testing.assert_allclose(rotation(up="y", front="-z"), turn, atol=1e-12)


def test_transform_keeps_normals_perpendicular():
    surface = transform(make_mesh(trimesh.creation.icosphere(1).triangles), np.diag([1, 3, 0.5]))
    edges = surface.triangles[:, 1] - surface.triangles[:, 0]
    flat = np.cross(edges, surface.triangles[:, 2] - surface.triangles[:, 0])
    mean = surface.normals.mean(axis=1)
    cosine = (flat * mean).sum(1) / np.linalg.norm(flat, axis=1) / np.linalg.norm(mean, axis=1)
    assert cosine.min() > 0.9


def test_normalize_centers_and_scales_the_diagonal_to_one():
    mesh = trimesh.creation.box((1, 2, 3))
    mesh.apply_translation([7, 8, 9])
    lower, upper = normalize(make_mesh(mesh.triangles)).bounds
    np.testing.assert_allclose(lower, -upper, atol=1e-12)
    assert np.linalg.norm(upper - lower) == pytest.approx(1)

import numpy as np
import pytest
import trimesh

from data.builder.mesh import concatenate, make_mesh, normalize, rotation, smooth_normals, transform
from utils.errors import InputError


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
    flat = trimesh.triangles.cross(surface.triangles)
    mean = surface.normals.mean(axis=1)
    cosine = (flat * mean).sum(1) / np.linalg.norm(flat, axis=1) / np.linalg.norm(mean, axis=1)
    assert cosine.min() > 0.9


def test_normalize_centers_and_scales_the_diagonal_to_one():
    mesh = trimesh.creation.box((1, 2, 3))
    mesh.apply_translation([7, 8, 9])
    lower, upper = normalize(make_mesh(mesh.triangles)).bounds
    np.testing.assert_allclose(lower, -upper, atol=1e-12)
    assert np.linalg.norm(upper - lower) == pytest.approx(1)

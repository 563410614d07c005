from pathlib import Path

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
from data.builder.readers import FolderAssets, load_mesh
from tests.helpers import png
from utils.errors import InputError

QUAD = """mtllib box.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
vn 0 0 2
"""


def write_obj(folder: Path, faces: str, material: str = "newmtl m\nKd 1 0.5 0\n") -> Path:
    (folder / "box.mtl").write_text(material)
    (folder / "box.obj").write_text(f"{QUAD}usemtl m\n{faces}\n")
    return folder / "box.obj"


def test_obj_keeps_material_color_and_normals(tmp_path):
    surface = load_mesh(write_obj(tmp_path, "f 1//1 2//1 3//1"))
    assert surface.triangles.shape == (1, 3, 3)
    np.testing.assert_array_equal(surface.colors[0, 0], [255, 128, 0, 255])
    np.testing.assert_allclose(surface.normals[0], [[0, 0, 1]] * 3)
    np.testing.assert_array_equal(surface.texture, [-1])


def test_obj_texture_in_a_sibling_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "t.png").write_bytes(png((10, 200, 30)))
    (tmp_path / "models").mkdir()
    path = write_obj(
        tmp_path / "models", "f 1/1 2/2 3/3", "newmtl m\nKd 0 0 0\nmap_Kd ../images/t.png\n"
    )
    surface = load_mesh(path)
    np.testing.assert_array_equal(surface.texture, [0])
    np.testing.assert_array_equal(surface.textures[0].pixels[0, 0], [10, 200, 30, 255])
    np.testing.assert_array_equal(surface.colors[0, 0, :3], [255] * 3)  # the texture, not Kd


def test_colors_of_gltf_are_linear(tmp_path):
    """A linear 0.214 is an sRGB 0.5: in a material, and at vertices where there is none."""
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[0.214, 0.214, 1.0, 1.0])
    painted, plain = trimesh.creation.box(), trimesh.creation.box()
    painted.visual = trimesh.visual.TextureVisuals(material=material)
    plain.visual.vertex_colors = np.tile(np.uint8([55, 55, 255, 255]), (8, 1))
    for mesh in (painted, plain):
        mesh.export(tmp_path / "box.glb")
        colors = load_mesh(tmp_path / "box.glb").colors.reshape(-1, 4)
        np.testing.assert_allclose(colors, np.tile([128, 128, 255, 255], (36, 1)), atol=1)


def test_texture_outside_the_parent_folder_is_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(png((1, 2, 3)))
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = write_obj(folder, "f 1/1 2/2 3/3", f"newmtl m\nmap_Kd {tmp_path}/secret.png\n")
    assert load_mesh(path).textures == []
    (folder / "secret.png").write_bytes(png((4, 5, 6)))
    np.testing.assert_array_equal(load_mesh(path).textures[0].pixels[0, 0, :3], [4, 5, 6])


def test_eps_texture_is_not_run(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "t.eps")
    (tmp_path / "t.eps").rename(tmp_path / "t.png")
    path = write_obj(tmp_path, "f 1/1 2/2 3/3", "newmtl m\nmap_Kd t.png\n")
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", None)  # its decoder runs a program
    assets = FolderAssets(tmp_path)
    assert load_mesh(path, assets).textures == []
    assert len(assets.notes) == 1 and "t.png" in assets.notes[0]


def test_missing_vertices_are_an_error(tmp_path):
    mesh = trimesh.creation.box()
    mesh.export(tmp_path / "box.ply", encoding="ascii")
    text = (tmp_path / "box.ply").read_text()
    (tmp_path / "box.ply").write_text(text.rsplit("3 ", 1)[0] + "3 0 1 99\n")
    with pytest.raises(InputError, match="out of bounds"):
        load_mesh(tmp_path / "box.ply")


def test_vertex_colors_are_kept(tmp_path):
    mesh = trimesh.creation.box()
    mesh.visual.vertex_colors = np.tile(np.uint8([9, 90, 200, 255]), (8, 1))
    mesh.export(tmp_path / "box.ply")
    np.testing.assert_array_equal(load_mesh(tmp_path / "box.ply").colors[3, 1], [9, 90, 200, 255])


@pytest.mark.parametrize("kind", ["off", "ply", "stl", "glb", "obj"])
def test_all_formats_give_the_same_triangles(tmp_path, kind):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / f"box.{kind}")
    surface = load_mesh(tmp_path / f"box.{kind}")
    assert len(surface.triangles) == 12
    np.testing.assert_allclose(surface.bounds, [[-0.5, -1, -1.5], [0.5, 1, 1.5]])


def test_scene_places_its_meshes(tmp_path):
    scene = trimesh.Scene()
    for x in (0, 5):
        scene.add_geometry(
            trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([x, 0, 0])
        )
    scene.export(tmp_path / "scene.glb")
    np.testing.assert_allclose(load_mesh(tmp_path / "scene.glb").bounds[:, 0], [-0.5, 5.5])


def test_no_triangles_is_an_error():
    with pytest.raises(InputError, match="expected triangles, found none"):
        concatenate([])


def test_infinite_coordinates_are_an_error():
    triangles = np.array([[[0, 0, 0], [1, 0, 0], [0, np.inf, 0]]])
    normals = np.zeros((1, 3, 3))
    with pytest.raises(InputError, match="expected finite coordinates"):
        concatenate([make_mesh(triangles, normals=normals)])


def test_smooth_normals_keep_sharp_edges():
    ball = trimesh.creation.icosphere(2)
    normals = smooth_normals(ball.triangles)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    np.testing.assert_allclose(normals, ball.triangles, atol=0.05)
    box = trimesh.creation.box()
    flat = smooth_normals(box.triangles)
    np.testing.assert_allclose(
        flat / np.linalg.norm(flat, axis=2, keepdims=True),
        np.repeat(box.face_normals[:, None], 3, axis=1),
        atol=1e-12,
    )


def test_rotation_maps_named_axes_to_official_ones():
    matrix = rotation(up="z", front="-y")
    np.testing.assert_array_equal(matrix @ [0, 0, 1], [0, 1, 0])
    np.testing.assert_array_equal(matrix @ [0, -1, 0], [1, 0, 0])
    assert np.linalg.det(matrix) == 1


def test_shapenet_rotation_is_270_degrees_about_y():
    turn = trimesh.transformations.rotation_matrix(np.radians(270), [0, 1, 0])[:3, :3]
    np.testing.assert_allclose(rotation(up="y", front="-z"), turn, atol=1e-12)


def test_rotation_refuses_parallel_axes():
    with pytest.raises(InputError, match="different axes, got y and -y"):
        rotation("y", "-y")


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


def test_normalize_refuses_a_point():
    with pytest.raises(InputError, match="found a point"):
        normalize(make_mesh(np.ones((1, 3, 3))))

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.builder.mesh import Texture, concatenate, make_mesh, normalize, rotation, transform
from data.builder.render import render
from data.builder.voxelize import voxelize
from data.cameras import View, project
from tests.helpers import load_mesh, read_views
from utils.voxels import read_binvox

CHAIR = "1a6f615e8b1b5ae4dbbc9440457e303e"
FRONT = View(0, 27, 0.8)


def box(size=(1, 1, 1), color=(200, 100, 50, 255)):
    return normalize(make_mesh(trimesh.creation.box(size).triangles, color))


def square(uv, texture):
    """A square in the plane x = 0 with uv at its corners from the lower left, seen from +x."""
    corners = np.array([[0, -1, 1], [0, -1, -1], [0, 1, -1], [0, 1, 1]], float)
    faces = [[0, 1, 2], [0, 2, 3]]
    return make_mesh(corners[faces], (255,) * 4, uv=np.array(uv, float)[faces], texture=texture)


def test_silhouette_matches_projection():
    mesh = box((1, 2, 0.5))
    view = View(35, 28, 0.8)
    rows, columns = np.nonzero(render(mesh, [view])[0, ..., 3] > 127)
    corners = project(view, mesh.triangles.reshape(-1, 3), 137)
    np.testing.assert_allclose([columns.min(), rows.min()], corners.min(0), atol=1)
    np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], corners.max(0), atol=1)


def test_edges_are_antialiased_with_straight_alpha():
    image = render(box((0.02, 1, 1)), [View(0, 0, 1)])[0].astype(int)
    width = 137 * 35 / 32 * 0.7071 / (1.75 - 0.007)
    assert image[..., 3].sum() / 255 == pytest.approx(width**2, rel=0.01)
    edge = (image[..., 3] > 20) & (image[..., 3] < 235)
    assert edge.any() and image[edge, 0].min() > 90  # RGB is not multiplied with alpha


def test_upward_faces_are_brighter():
    image = render(box(), [FRONT])[0]
    top = image[int(project(FRONT, np.array([0, 0.28, 0]), 137)[1]), 68]
    side = image[int(project(FRONT, np.array([0.28, -0.1, 0]), 137)[1]), 68]
    assert (top[:3] > side[:3] * 1.2).all()


def test_winding_does_not_change_the_image():
    triangles = trimesh.creation.box().triangles
    meshes = make_mesh(triangles), make_mesh(triangles[:, ::-1])
    np.testing.assert_array_equal(*(render(normalize(mesh), [FRONT]) for mesh in meshes))


def test_texture_is_upright():
    """The image's upper left corner is at u = 0, v = 1."""
    pixels = np.full((2, 2, 4), 255, np.uint8)
    pixels[..., :3] = [[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [0, 0, 0]]]
    mesh = square([[0, 0], [1, 0], [1, 1], [0, 1]], Texture(pixels))
    image = render(normalize(mesh), [View(0, 0, 1)])[0].astype(int)
    places = [(50, 50, 0), (50, 87, 1), (87, 50, 2)]
    for row, column, channel in places:
        others = [other for other in range(3) if other != channel]
        assert image[row, column, channel] > image[row, column, others].max() + 50


WALL = make_mesh(
    trimesh.creation.box(bounds=[[-0.2, -1, -1], [-0.1, 1, 1]]).triangles, (255, 0, 0, 255)
)


def test_transparent_texels_show_what_is_behind():
    pixels = np.full((1, 2, 4), 255, np.uint8)
    pixels[0, 0, 3] = 0  # the half at -y, as uv turns it, is a hole
    leaf = square([[0, 0], [0, 1], [1, 1], [1, 0]], Texture(pixels))
    alone, both = (
        render(normalize(concatenate(meshes)), [View(0, 0, 1)])[0].astype(int)
        for meshes in ([leaf], [leaf, WALL])
    )
    assert alone[[55, 82], 68, 3].tolist() == [255, 0]
    assert both[82, 68, 3] == 255 and both[82, 68, 0] > both[82, 68, 1] + 50


def test_glass_is_blended_with_what_is_behind():
    glass = square([[0, 0], [1, 0], [1, 1], [0, 1]], None)
    glass = replace(glass, colors=np.full((2, 3, 4), (0, 0, 255, 51), np.uint8))
    alone, behind, both = (
        render(normalize(concatenate(meshes)), [View(0, 0, 1)])[0][68, 68].astype(float)
        for meshes in ([glass], [WALL], [glass, WALL])
    )
    assert alone[3] == 51
    np.testing.assert_allclose(both, 0.2 * np.append(alone[:3], 255) + 0.8 * behind, atol=1)


def test_without_normals_light_does_not_change_the_color():
    mesh = replace(box(), normals=np.zeros((12, 3, 3)))
    image = render(mesh, [FRONT])[0]
    assert np.unique(image[image[..., 3] == 255], axis=0).tolist() == [[200, 100, 50, 255]]


def test_official_chair_matches_official_files(real):
    mesh = load_mesh(real / "mesh" / CHAIR / "models" / "model_normalized.obj")
    mesh = normalize(transform(mesh, rotation("y", "-z")))
    rendering = real / "ShapeNetRendering" / "03001627" / CHAIR / "rendering"
    views = read_views(rendering / "rendering_metadata.txt")
    built = render(mesh, views).astype(int)
    official = np.stack([np.array(Image.open(path)) for path in sorted(rendering.glob("*.png"))])
    ours, theirs = built[..., 3] > 127, official[..., 3] > 127
    overlap = (ours & theirs).sum((1, 2)) / (ours | theirs).sum((1, 2))
    assert overlap.mean() >= 0.99
    both = ours & theirs
    assert np.abs(built - official)[both][:, :3].mean() / 255 <= 0.12
    occupied = read_binvox(real / "ShapeNetVox32" / "03001627" / CHAIR / "model.binvox")
    voxels = voxelize(mesh)
    assert (voxels & occupied).sum() / (voxels | occupied).sum() >= 0.82

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.binvox import read_binvox
from data.builder.mesh import concatenate, load_mesh, normalized, rotation, transformed
from data.builder.render import render
from data.builder.voxelize import voxelize
from data.cameras import View, project, read_views, sample_views

OFFICIAL = Path(__file__).parents[2] / "shared" / "real"
CHAIR = "1a6f615e8b1b5ae4dbbc9440457e303e"
FRONT = View(0, 27, 0.8)


def box(size=(1, 1, 1), color=(200, 100, 50, 255)):
    mesh = trimesh.creation.box(size)
    mesh.visual.face_colors = np.tile(np.uint8(color), (len(mesh.faces), 1))
    return normalized(concatenate([mesh]))


def test_pictures_have_the_official_form():
    pictures = render(box(), sample_views(3, np.random.default_rng(0)))
    assert pictures.shape == (3, 137, 137, 4)
    assert pictures.dtype == np.uint8
    assert (pictures[pictures[..., 3] == 0] == 0).all()


def test_the_silhouette_lies_where_the_camera_projects_the_object():
    surface = box((1, 2, 0.5))
    view = View(35, 28, 0.8)
    rows, columns = np.nonzero(render(surface, [view])[0, ..., 3] > 127)
    corners = project(view, surface.triangles.reshape(-1, 3), 137)
    np.testing.assert_allclose([columns.min(), rows.min()], corners.min(0), atol=1)
    np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], corners.max(0), atol=1)


def test_alpha_is_smooth_along_edges_and_adds_up_to_the_area():
    surface = box((0.02, 1, 1))
    alpha = render(surface, [View(0, 0, 1)])[0, ..., 3] / 255
    width = 137 * 35 / 32 * 0.7071 / (1.75 - 0.007)
    assert alpha.sum() == pytest.approx(width**2, rel=0.01)
    assert len(np.unique(alpha)) > 4


def test_colours_are_not_multiplied_by_alpha():
    picture = render(box(), [FRONT])[0].astype(int)
    edge = (picture[..., 3] > 20) & (picture[..., 3] < 100)
    assert edge.any()
    assert picture[edge, 0].min() > 90


def test_what_looks_up_is_brighter_than_what_looks_aside():
    picture = render(box(), [FRONT])[0]
    top = picture[int(project(FRONT, np.array([0, 0.28, 0]), 137)[1]), 68]
    side = picture[int(project(FRONT, np.array([0.28, -0.1, 0]), 137)[1]), 68]
    assert (top[:3] > side[:3] * 1.2).all()


def test_faces_are_lit_whichever_way_they_are_wound():
    surface = trimesh.creation.box()
    inverted = surface.copy()
    inverted.invert()
    one, other = (render(normalized(concatenate([mesh])), [FRONT]) for mesh in (surface, inverted))
    np.testing.assert_array_equal(one, other)


def test_a_texture_is_upright():
    """The picture's upper left corner is at u = 0, v = 1."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0], pixels[0, 1], pixels[1, 0] = [250, 0, 0], [0, 250, 0], [0, 0, 250]
    mesh = trimesh.Trimesh(
        [[0, -1, 1], [0, -1, -1], [0, 1, -1], [0, 1, 1]],  # as seen from +x: +z is on the left
        [[0, 1, 2], [0, 2, 3]],
        process=False,
        visual=trimesh.visual.TextureVisuals(
            uv=[[0, 0], [1, 0], [1, 1], [0, 1]], image=Image.fromarray(pixels)
        ),
    )
    picture = render(normalized(concatenate([mesh])), [View(0, 0, 1)])[0].astype(int)
    places = [(50, 50, 0), (50, 87, 1), (87, 50, 2)]
    for row, column, channel in places:
        others = [other for other in range(3) if other != channel]
        assert picture[row, column, channel] > picture[row, column, others].max() + 50


def test_the_holes_of_a_texture_show_what_is_behind():
    pixels = np.full((1, 2, 4), 255, np.uint8)
    pixels[0, 0, 3] = 0  # the half at -y, as uv turns it, is a hole
    leaf = trimesh.Trimesh(
        [[0, -1, 1], [0, -1, -1], [0, 1, -1], [0, 1, 1]],
        [[0, 1, 2], [0, 2, 3]],
        process=False,
        visual=trimesh.visual.TextureVisuals(
            uv=[[0, 0], [0, 1], [1, 1], [1, 0]], image=Image.fromarray(pixels)
        ),
    )
    alone = render(normalized(concatenate([leaf])), [View(0, 0, 1)])[0]
    assert alone[55, 68, 3] == 255
    assert alone[82, 68, 3] == 0
    wall = trimesh.creation.box(bounds=[[-0.2, -1, -1], [-0.1, 1, 1]])
    wall.visual.face_colors = [255, 0, 0, 255]
    both = render(normalized(concatenate([leaf, wall])), [View(0, 0, 1)])[0].astype(int)
    assert both[82, 68, 3] == 255
    assert both[82, 68, 0] > both[82, 68, 1] + 50


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="no official data in ../shared/real")
def test_the_official_chair_gives_its_official_files():
    surface = load_mesh(OFFICIAL / "mesh" / CHAIR / "models" / "model_normalized.obj")
    surface = normalized(transformed(surface, rotation("y", "-z")))
    rendering = OFFICIAL / "ShapeNetRendering" / "03001627" / CHAIR / "rendering"
    views = read_views(rendering / "rendering_metadata.txt")
    built = render(surface, views).astype(int)
    official = np.stack([np.array(Image.open(path)) for path in sorted(rendering.glob("*.png"))])
    ours, theirs = built[..., 3] > 127, official[..., 3] > 127
    overlap = (ours & theirs).sum((1, 2)) / (ours | theirs).sum((1, 2))
    assert overlap.mean() >= 0.99
    both = ours & theirs
    assert np.abs(built - official)[both][:, :3].mean() / 255 <= 0.12
    occupied = read_binvox(OFFICIAL / "ShapeNetVox32" / "03001627" / CHAIR / "model.binvox")
    cells = voxelize(surface)
    assert (cells & occupied).sum() / (cells | occupied).sum() >= 0.82

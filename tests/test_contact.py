import shutil

import numpy as np
import pytest
import trimesh

from data.binvox import write_binvox
from data.builder.mesh import make_mesh
from data.builder.writer import write_shape
from data.cameras import View
from data.contact import draw_voxels, sheet
from utils.errors import InputError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset")
    for number, extents in enumerate([(1, 2, 1), (1, 1, 1), (2, 1, 1)]):
        mesh = make_mesh(trimesh.creation.box(extents).triangles)
        write_shape(root, f"box/{number}", mesh, np.random.default_rng(number), 2)
    return root


def test_a_sheet_shows_views_and_voxels_side_by_side(dataset):
    page = sheet(dataset, columns=2, processes=1)
    assert page.size == (2 * 3 * 137, 2 * 137)
    pixels = np.asarray(page)
    for row, column in ((0, 0), (0, 1), (1, 0)):
        for part in range(3):
            left = (3 * column + part) * 137
            tile = pixels[row * 137 : (row + 1) * 137, left : left + 137]
            assert 0.02 < (tile < 250).any(axis=2).mean() < 0.9
    assert (pixels[137:, 3 * 137 :] == 255).all()


def test_a_sheet_of_fewer_objects_is_smaller(dataset):
    assert sheet(dataset, limit=1, processes=1).size == (3 * 137, 137)


def test_an_object_without_voxels_has_none_on_the_sheet(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path, dirs_exist_ok=True)
    write_binvox(tmp_path / "ShapeNetVox32" / "box" / "0" / "model.binvox", np.zeros((8, 8, 8)))
    pixels = np.asarray(sheet(tmp_path, processes=1))
    assert (pixels[:, 2 * 137 : 3 * 137] == 255).all() and (pixels[:, 5 * 137 :] < 255).any()


def test_a_link_out_of_the_dataset_is_not_followed(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "ShapeNetRendering/box/0/rendering/rendering_metadata.txt"
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="found a link to /etc/passwd"):
        sheet(tmp_path, processes=1)


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(InputError, match="expected objects in"):
        sheet(tmp_path)


def test_voxels_are_drawn_where_they_are():
    occupied = np.zeros((8, 8, 8), bool)
    occupied[:, 0] = True
    occupied[0, :, 0] = True  # a post at the rear, at -z: on the right as seen from the front
    alpha = np.asarray(draw_voxels(occupied, View(0, 27, 0.8)))[..., 3]
    upper = np.nonzero(alpha[:50].any(axis=0))[0]
    assert len(upper)
    assert upper.min() > 68

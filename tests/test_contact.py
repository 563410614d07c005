import numpy as np
import pytest
import trimesh

from data.cameras import View
from data.contact import draw_voxels, sheet
from data.meshes import join
from data.objects import write_object
from utils.errors import UserError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset")
    for number, extents in enumerate([(1, 2, 1), (1, 1, 1), (2, 1, 1)]):
        surface = join([trimesh.creation.box(extents)])
        write_object(root, "box", str(number), surface, np.random.default_rng(number), views=2)
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


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(UserError, match="expected objects in"):
        sheet(tmp_path)


def test_voxels_are_drawn_where_they_are():
    occupied = np.zeros((8, 8, 8), bool)
    occupied[:, 0] = True
    occupied[0, :, 0] = True  # a post at the rear, at -z: on the right as seen from the front
    alpha = np.asarray(draw_voxels(occupied, View(0, 27, 0.8)))[..., 3]
    upper = np.nonzero(alpha[:50].any(axis=0))[0]
    assert len(upper)
    assert upper.min() > 68

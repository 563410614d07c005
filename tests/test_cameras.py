from pathlib import Path

import numpy as np
import pytest

from data.cameras import View, axes, directions, eye, project, read_views, sample_views, write_views
from utils.errors import InputError

VIEW = View(azimuth=209.190372118, elevation=25.4208381993, distance_ratio=0.848215613661)


def test_the_camera_stands_where_the_official_formula_puts_it():
    np.testing.assert_allclose(eye(View(0, 0, 1)), [1.75, 0, 0], atol=1e-12)
    np.testing.assert_allclose(eye(View(90, 0, 0.5)), [0, 0, 0.875], atol=1e-12)
    assert eye(View(0, 30, 1))[1] == pytest.approx(0.875)


def test_a_camera_sees_up_as_up_and_its_axes_turn_without_a_mirror():
    right, down, forward = axes(VIEW)
    np.testing.assert_allclose(axes(VIEW) @ axes(VIEW).T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(right, down), forward, atol=1e-12)
    assert down[1] < 0


def test_the_origin_appears_in_the_middle_and_higher_points_above():
    np.testing.assert_allclose(project(VIEW, np.zeros(3), 137), [68.5, 68.5])
    column, row = project(VIEW, np.array([0, 0.2, 0]), 137)
    assert column == pytest.approx(68.5)
    assert row < 68.5


def test_seen_from_the_front_the_objects_right_hand_side_is_on_the_left():
    column, _ = project(View(0, 0, 1), np.array([0, 0, 0.2]), 137)
    # Looking along -x with y up, +z is to the left.
    assert column == pytest.approx(68.5 - 137 * 35 / 32 * 0.2 / 1.75)


def test_rays_pass_through_the_points_that_project_onto_their_pixels():
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3))
    pixels = project(VIEW, points, 137)
    rays = directions(VIEW, pixels[:, 0], pixels[:, 1], 137)
    depth = (points - eye(VIEW)) @ axes(VIEW)[2]
    np.testing.assert_allclose(eye(VIEW) + rays * depth[:, None], points, atol=1e-5)


def test_views_are_drawn_from_the_official_ranges_and_by_the_seed_alone():
    views = sample_views(500, np.random.default_rng(3))
    azimuth, elevation, ratio = np.array(views).T
    assert 0 <= azimuth.min() < 10
    assert 350 < azimuth.max() < 360
    assert 25 <= elevation.min() < 25.2
    assert 29.8 < elevation.max() <= 30
    assert 0.65 <= ratio.min() < 0.66
    assert 0.94 < ratio.max() <= 0.95
    assert views == sample_views(500, np.random.default_rng(3))


def test_metadata_is_read_back_as_it_was_written(tmp_path):
    views = sample_views(24, np.random.default_rng(0))
    write_views(tmp_path / "rendering_metadata.txt", views)
    np.testing.assert_allclose(read_views(tmp_path / "rendering_metadata.txt"), views, rtol=1e-11)


def test_metadata_looks_like_the_official_lines(tmp_path):
    write_views(tmp_path / "views.txt", [VIEW])
    text = (tmp_path / "views.txt").read_text()
    assert text == "209.190372118 25.4208381993 0 0.848215613661 25\n"


@pytest.mark.parametrize("line", ["1 2 3", "a b c d e", "1 2 30 0.8 25"])
def test_a_bad_line_is_named(tmp_path, line):
    path = Path(tmp_path, "views.txt")
    path.write_text(f"1 2 0 0.8 25\n{line}\n")
    with pytest.raises(InputError, match=r"views\.txt:2: expected"):
        read_views(path)

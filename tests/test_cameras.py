import numpy as np
import pytest

from data.cameras import (
    View,
    camera_axes,
    camera_position,
    project,
    ray_directions,
    sample_views,
    write_views,
)
from tests.helpers import read_views

VIEW = View(azimuth=209.190372118, elevation=25.4208381993, distance_ratio=0.848215613661)


def test_camera_position_matches_official_formula():
    np.testing.assert_allclose(camera_position(View(0, 0, 1)), [1.75, 0, 0], atol=1e-12)
    np.testing.assert_allclose(camera_position(View(90, 0, 0.5)), [0, 0, 0.875], atol=1e-12)
    assert camera_position(View(0, 30, 1))[1] == pytest.approx(0.875)


def test_project_shows_positive_z_left_from_the_front():
    column, _ = project(View(0, 0, 1), np.array([0, 0, 0.2]), 137)
    # Looking along -x with y up, +z is to the left.
    assert column == pytest.approx(68.5 - 137 * 35 / 32 * 0.2 / 1.75)


def test_ray_directions_inverts_project():
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3))
    pixels = project(VIEW, points, 137)
    rays = ray_directions(VIEW, pixels[:, 0], pixels[:, 1], 137)
    depth = (points - camera_position(VIEW)) @ camera_axes(VIEW)[2]
    np.testing.assert_allclose(camera_position(VIEW) + rays * depth[:, None], points, atol=1e-5)


def test_sample_views_is_in_official_ranges_and_repeatable():
    views = sample_views(500, np.random.default_rng(3))
    lowest, highest = np.array([0, 25, 0.65]), np.array([360, 30, 0.95])
    assert (lowest <= views).all() and (views <= highest).all()
    margin = 0.04 * (highest - lowest)
    assert (np.min(views, 0) < lowest + margin).all()
    assert (np.max(views, 0) > highest - margin).all()
    assert views == sample_views(500, np.random.default_rng(3))


def test_views_are_written_in_the_official_format(tmp_path):
    path = tmp_path / "views.txt"
    write_views(path, [VIEW])
    assert path.read_text() == "209.190372118 25.4208381993 0 0.848215613661 25\n"
    views = sample_views(24, np.random.default_rng(0))
    write_views(path, views)
    np.testing.assert_allclose(read_views(path), views, rtol=1e-11)

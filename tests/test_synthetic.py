import shutil
from pathlib import Path

import numpy as np
import pytest

from data.builder import build
from data.builder.furniture import GENERATORS
from data.builder.mesh import concatenate
from data.builder.synthetic import build_synthetic
from tests.helpers import files_in


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    build_synthetic(root, num_shapes=3, processes=1)
    return root


def test_second_build_makes_what_is_missing_whatever_the_processes(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path, dirs_exist_ok=True)
    paths = sorted(tmp_path.glob("ShapeNetVox32/*/*"))
    for path in paths[1:]:
        shutil.rmtree(path)
    time = (paths[0] / "model.binvox").stat().st_mtime_ns
    build_synthetic(tmp_path, num_shapes=3, processes=2)
    assert (paths[0] / "model.binvox").stat().st_mtime_ns == time
    assert files_in(tmp_path) == files_in(dataset)


def test_interrupted_shape_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(path, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "write_binvox", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_synthetic(tmp_path, num_shapes=1, processes=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("category", GENERATORS)
def test_each_category_samples_different_shapes(category):
    areas, materials = set(), []
    for i in range(12):
        parts = GENERATORS[category](np.random.default_rng(i))
        mesh = concatenate(parts)
        extent = np.ptp(mesh.bounds, axis=0)
        assert (extent > 0.005).all() and (extent < 4).all()
        materials.append(len({part.colors[0, 0].tobytes() for part in parts}) + len(mesh.textures))
        areas.add(round(float(np.prod(extent)), 9))
    assert len(areas) == 12
    assert max(materials) > 1

"""What is built doesn't change: synthetic shapes, and small meshes of each format."""

import hashlib
import json
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from data.builder.build import Options, build
from data.builder.sources import find_sources
from data.builder.synthetic import build_synthetic
from utils.voxels import read_binvox

GOLDEN = Path(__file__).parent / "golden"
FORMATS = ("obj", "off", "ply", "stl", "glb")


def voxel_hashes(root: Path) -> dict[str, str]:
    hashes = {}
    for path in root.glob("ShapeNetVox32/*/*/model.binvox"):
        name = f"{path.parts[-3]}/{path.parts[-2]}"
        hashes[name] = hashlib.sha256(read_binvox(path).tobytes()).hexdigest()
    return hashes


def assert_close(pixels: np.ndarray, golden: str):
    difference = np.abs(pixels.astype(int) - np.array(Image.open(GOLDEN / golden)))
    assert difference.mean() < 0.02  # Embree rounds differently on other CPUs
    assert (difference > 2).mean() < 0.001


def write_mesh(folder: Path, i: int):
    """Write two solids side by side, with face colors or a texture, in one of the formats."""
    rng = np.random.default_rng(i)
    solids = [
        trimesh.creation.box((1, 0.6, 0.4)),
        trimesh.creation.icosphere(2, 0.5),
        trimesh.creation.cylinder(0.3, 1, sections=12),
        trimesh.creation.torus(0.5, 0.15, 16, 8),
        trimesh.creation.annulus(0.2, 0.5, 0.3, sections=12),
    ]
    pair = [solids[j] for j in rng.choice(len(solids), 2, replace=False)]
    for solid in pair:
        solid.apply_transform(trimesh.transformations.random_rotation_matrix(rng.random(3)))
        solid.apply_scale(rng.uniform(0.5, 1.5, 3))
        solid.apply_translation(rng.uniform(-0.4, 0.4, 3))
        solid.visual.face_colors = rng.integers(0, 256, 3)
    mesh = trimesh.util.concatenate(pair)
    name = f"m{i:02d}.{FORMATS[i % len(FORMATS)]}"
    if i % 3 == 0 and name.endswith(("obj", "glb")):
        gradients = [Image.linear_gradient("L"), Image.radial_gradient("L")]
        image = Image.merge("RGB", [*gradients, gradients[0].rotate(90)])
        material = trimesh.visual.material.SimpleMaterial(image=image)
        mesh.visual = trimesh.visual.TextureVisuals(mesh.vertices[:, :2], material=material)
    mesh.export(folder / name)


def test_synthetic_shapes_match_golden(tmp_path):
    build_synthetic(tmp_path, num_shapes=2, processes=1)
    assert voxel_hashes(tmp_path) == json.loads((GOLDEN / "synthetic_shapes.json").read_text())
    for views in (tmp_path / "ShapeNetRendering").glob("*/*/rendering"):
        pixels = np.vstack([Image.open(views / f"{i:02d}.png") for i in (0, 1)])
        assert_close(pixels, f"{views.parent.name}.png")


def test_meshes_match_golden(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(20):
        write_mesh(tmp_path / "in", i)
    build(find_sources([tmp_path / "in"]).sources, Options(tmp_path / "out", views=1), processes=1)
    assert voxel_hashes(tmp_path / "out") == json.loads((GOLDEN / "meshes.json").read_text())
    views = sorted((tmp_path / "out" / "ShapeNetRendering").glob("*/*/rendering/00.png"))
    thumbnails = [
        np.asarray(Image.open(view).resize((34, 34), Image.Resampling.BOX)) for view in views
    ]
    assert_close(np.concatenate(thumbnails), "meshes.png")

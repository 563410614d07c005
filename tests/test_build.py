"""Building a dataset from meshes with `python -m data.builder`."""

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.builder import build as build_module
from data.builder import synthetic
from data.builder.build import Options, build
from data.builder.mesh import make_mesh
from data.builder.sources import find_sources
from tests.helpers import BOX, SHARED, files_in, write_files
from utils.errors import InputError
from utils.voxels import read_binvox


def shapes_in(root: Path) -> list[str]:
    voxels = root / "ShapeNetVox32"
    return sorted(path.relative_to(voxels).as_posix() for path in voxels.glob("*/*"))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def flags(out):
    """`python -m data.builder` into `out`, with one view of each shape."""
    return ["data.builder.__main__", "--out", out, "--views=1", "--processes=1"]


@pytest.fixture
def command(output_of, flags):
    return partial(output_of, *flags)


@pytest.fixture
def mistake(error_of, flags):
    return partial(error_of, *flags)


def test_prefix_keeps_two_sources_apart_and_only_listed_leaves_out(tmp_path, out, command):
    for source in ("first", "second"):
        content = b"# %s\n" % source.encode() + BOX
        command(write_files(tmp_path / source, "chair/a.obj", content=content), "--prefix", source)
    assert shapes_in(out) == ["03001627/first-a", "03001627/second-a"]
    write_files(tmp_path / "third", "a.obj", "b.obj", content=b"# third\n" + BOX)
    write_files(tmp_path / "third", "list.csv", content=b"b.obj,plants\n")
    command(tmp_path / "third", "--categories", tmp_path / "third" / "list.csv", "--only-listed")
    assert shapes_in(out)[2:] == ["plants/b"]


def test_summary_counts_shapes_by_category(tmp_path, command):
    names = "chair/a.obj chair/b.obj plants/fern.obj OBJ/x.obj GLB/x.obj"
    write_files(tmp_path / "in", *names.split())
    printed = command(tmp_path / "in", "--variants=1")
    assert "shapes by category: chair 2, in 1, plants 1\n" in printed
    assert "note: in, plants: " in printed and "--category NAME" in printed
    assert "python -m data.contact_sheet " in printed and "--init_weights=" in printed
    printed = command(tmp_path / "in", "--category=sofa", "--out", tmp_path / "other")
    assert "shapes by category: sofa 4\n" in printed and "--category" not in printed


def test_what_is_left_out_is_printed_once_and_the_rest_is_built(tmp_path, out, command):
    bad = {
        "empty.obj": (b"", "empty"),
        "flat.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "flat mesh"),
        "broken.glb": (b"glTF" + bytes(100), "GLB"),
        "cut.ply": (b"ply\nformat ascii 1.0\nelement vertex 9\nend_header\n1 2\n", "cut.ply"),
        "lfs.stl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        "page.obj": (b"\n<!DOCTYPE html><title>404</title>", "HTML"),
        "lib.zip": (b"PK no archive", "expected a ZIP archive"),
    }
    folder = write_files(tmp_path / "in", "a.obj", "b.obj", content=b"mtllib gone.mtl\n" + BOX)
    for name, (content, _) in bad.items():
        write_files(folder, name, content=content)
    write_files(folder, "a.stl", "STL/b.stl", "c.skp")
    os.mkfifo(folder / "pipe.zip")  # waits for a writer for ever
    printed = command(folder, folder / "a.obj", "--category=chair", "--variants=1")
    assert "2 of 9 meshes are in" in printed
    assert shapes_in(out) == [f"03001627/{name}" for name in ("a", "a+1", "b", "b+1")]
    assert {path.name for path in out.iterdir()} == {"ShapeNetRendering", "ShapeNetVox32"}
    expected = [(f"{name}: ", reason) for name, (_, reason) in bad.items()]
    for texts in (*expected, ("gone.mtl", "and 1 more"), (".stl", "and 1 more"), ("1 .skp",)):
        assert sum(all(text in line for text in texts) for line in printed.splitlines()) == 1


def test_unexpected_error_skips_one_mesh_only(tmp_path, out, command, monkeypatch):
    write_shape = build_module.write_shape

    def fail_at_a(options, name, *arguments):
        if name.endswith("a"):
            raise OSError(28, "No space left on device")
        write_shape(options, name, *arguments)

    monkeypatch.setattr(build_module, "write_shape", fail_at_a)
    printed = command(write_files(tmp_path / "in", "a.obj", "b.obj"))
    assert "a.obj: " in printed and "No space left" in printed and shapes_in(out) == ["in/b"]


def test_shape_that_cannot_be_seen_is_refused(tmp_path, out):
    mesh = make_mesh(trimesh.creation.box((1, 1, 1)).triangles, (0, 0, 0, 0))
    with pytest.raises(InputError, match="empty view"):
        build_module.write_shape(Options(out), "a/b", mesh, np.random.default_rng(0))
    assert not out.exists()


def test_no_usable_mesh_is_status_1_and_no_mesh_an_error(tmp_path, script, flags, mistake):
    status, printed, _ = script(*flags, write_files(tmp_path / "a", "a.obj", content=b""))
    assert status == 1 and "0 of 1" in printed
    (tmp_path / "b").mkdir()
    assert "expected meshes" in mistake(tmp_path / "b")


def test_views_and_resolution_options(tmp_path, out, command):
    write_files(tmp_path / "in", "a.obj")
    command(tmp_path / "in", "--views", 3, "--resolution", 64)
    (rendering,) = (out / "ShapeNetRendering").glob("*/*/rendering")
    assert len(list(rendering.glob("*.png"))) == 3
    assert len((rendering / "rendering_metadata.txt").read_text().splitlines()) == 3
    (voxels,) = (out / "ShapeNetVox32").rglob("model.binvox")
    assert read_binvox(voxels).shape == (64, 64, 64)


def test_up_and_front_rotate_the_shape(tmp_path, out, command, mistake):
    """The box is 1 x 2 x 3; with its front along x and up along z it is 1 deep and 3 high."""
    folder = write_files(tmp_path / "in", "a.obj")
    assert "different axes, got z and -z" in mistake(folder, "--up", "z")
    assert not out.exists()
    command(folder, "--up", "z", "--front", "x")
    (path,) = out.rglob("model.binvox")
    filled = [np.flatnonzero(read_binvox(path).any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    assert [len(cells) for cells in filled] == [12, 32, 22]


def test_default_front_follows_the_format(tmp_path):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "a.glb")
    write_files(tmp_path, "b.gltf", "c.obj")
    sources = find_sources([tmp_path]).sources
    assert [source.front for source in sources] == ["z", "z", "-z"]
    np.testing.assert_allclose(np.ptp(sources[0].load("y", None)[0].bounds, axis=0), [3, 2, 1])
    np.testing.assert_allclose(np.ptp(sources[0].load("y", "x")[0].bounds, axis=0), [1, 2, 3])


def test_build_does_not_depend_on_processes(tmp_path):
    sources = find_sources([write_files(tmp_path / "in", "a.obj", "b.obj")]).sources
    for out, processes in (("one", 1), ("two", 2)):
        build(sources, Options(tmp_path / out, views=1), 1, processes)
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def test_finished_shapes_are_kept_and_missing_ones_rebuilt_identically(tmp_path, out):
    options = Options(out, views=2)
    sources = find_sources([write_files(tmp_path / "in", "a.obj", "b.obj")]).sources
    build(sources, options, 0, 1)
    before = files_in(out)
    shutil.rmtree(out / "ShapeNetVox32" / "in" / "b")
    kept = out / "ShapeNetRendering" / "in" / "a" / "rendering" / "01.png"
    time = kept.stat().st_mtime_ns
    build(sources, options, 0, 1)
    assert files_in(out) == before and kept.stat().st_mtime_ns == time


def test_other_options_rebuild_a_shape_and_its_variants(tmp_path, out):
    sources = find_sources([write_files(tmp_path / "in", "a.obj")]).sources
    build(sources, Options(out, views=1), 1, 1)
    build(sources, Options(out, views=2, front="x"), 0, 1)
    after = files_in(out)
    shutil.rmtree(out)
    build(sources, Options(out, views=2, front="x"), 0, 1)
    assert files_in(out) == after


def test_mesh_keeps_its_name_when_others_come_beside_it_or_its_folder_is_moved(
    tmp_path, out, command, mistake
):
    folder = write_files(tmp_path / "in", "chair/a.obj", content=b"# a\n" + BOX)
    write_files(folder, "chair/b.obj")
    command(folder)
    folder = folder.rename(tmp_path / "moved")
    write_files(folder, "chair/new/a.obj", content=b"# new\n" + BOX)
    command(folder)
    assert shapes_in(out) == [f"03001627/{name}" for name in ("a", "b", "chair-new-a.obj")]
    assert str(tmp_path) not in "".join(path.read_text() for path in out.rglob("source.txt"))
    command(write_files(tmp_path / "again", "sofa/b.obj"))
    assert "04256520/b" in shapes_in(out)  # the same mesh in another category
    other = write_files(tmp_path / "other", "chair/b.obj", content=b"# other\n" + BOX)
    error = mistake(other)
    assert "has 03001627/b of another mesh" in error and "--prefix" in error


def test_variants_differ_and_sort_behind_their_original(tmp_path, out):
    stems = ["a", "a-b", "a.b", "a0", "ab"]
    write_files(tmp_path / "in", *(f"{stem}.obj" for stem in stems))
    sources = find_sources([tmp_path / "in"]).sources
    names = sorted(replace(source, variant=i).shape for source in sources for i in range(3))
    originals = [name.removeprefix("in/").partition("+")[0] for name in names]
    assert originals == [stem for stem in stems for _ in range(3)]
    build(sources[:1], Options(out, views=1), 2, 1)
    voxels = [read_binvox(path).tobytes() for path in out.rglob("model.binvox")]
    assert len(set(voxels)) == 3


def conventions(root: Path, name: str) -> dict:
    """What could tell a built object from an official one, its shape and colors aside."""
    rendering = root / "ShapeNetRendering" / name / "rendering"
    voxels_path = root / "ShapeNetVox32" / name / "model.binvox"
    magic, size, translate, scale = voxels_path.read_bytes().split(b"\n")[:4]
    corner, side = np.array(translate.split()[1:], float), float(scale.split()[1])
    occupied = read_binvox(voxels_path)
    filled = [np.flatnonzero(occupied.any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    widths = 32 * -2 * corner / side  # of the box, in voxels
    lines = (rendering / "rendering_metadata.txt").read_text().splitlines()
    views = np.array([line.split() for line in lines], float)
    images = [Image.open(rendering / f"{i:02d}.png") for i in range(24)]
    pixels = np.stack(images)
    alpha = pixels[..., 3]
    return {
        "files": sorted(path.name for path in rendering.iterdir()),
        "list": (rendering / "renderings.txt").read_text(),
        "binvox": (magic, size, translate.split()[0], scale.split()[0]),
        "a grid around the centered box": np.isclose(2 * np.abs(corner).max(), side, 1e-5),
        "a diagonal of one": np.isclose(np.linalg.norm(2 * corner), 1, atol=1e-5),
        "at most six digits": max(len(word.lstrip(b"-0.")) for word in translate.split()[1:]) <= 6,
        "as many voxels as the box has": (np.abs([len(f) for f in filled] - widths) < 2).all(),
        "centered voxels": all(abs(indices.mean() - 15.5) < 1 for indices in filled),
        "modes": {(image.mode, image.size, image.format) for image in images},
        "cameras": ((views >= [0, 25, 0, 0.65, 25]) & (views <= [360, 30, 0, 0.95, 25])).all(),
        "digits": max(len(word.replace(".", "")) for word in " ".join(lines).split()) in (12, 13),
        "smooth edges": 0.01 < ((alpha > 0) & (alpha < 255)).mean() < 0.08,
        "mostly black behind": (pixels[alpha == 0] == 0).mean() > 0.99,
    }


def test_built_shapes_follow_every_official_convention(tmp_path):
    synthetic.build_synthetic(tmp_path, num_shapes=5, processes=1)
    roots = [tmp_path, SHARED / "real"] if (SHARED / "real").is_dir() else [tmp_path]
    first, *others = [conventions(root, name) for root in roots for name in shapes_in(root)]
    assert all(first.values()) and others == [first] * len(others)

import io
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.builder import __main__ as command_line
from data.builder import build as build_module
from data.builder import synthetic
from data.builder.build import Options, build, stretch
from data.builder.mesh import make_mesh
from data.builder.readers import assets
from data.builder.sources import category_folder, distinct, find_sources, with_categories
from data.cameras import project, read_views
from tests.helpers import ROOT
from utils.errors import InputError
from utils.voxels import read_binvox

OFFICIAL = Path(__file__).parents[2] / "shared" / "real"
OBJ = trimesh.creation.box((1, 2, 3)).export(file_type="obj").encode()
CATALOG = """id#1=Me#stool
category#1=Living room
model#1=/me/stool/stool.obj
modelRotation#1=0 0 1 0 1 0 -1 0 0
id#2=Me#wall
category#2=Chair
model#2=/me/wall/wall.obj
"""


def write(path: Path, content: bytes = OBJ) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def archive(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def files(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def command(*arguments) -> int:
    before, sys.argv = sys.argv, ["build", *map(str, arguments), "--processes", "1"]
    try:
        return command_line.main()
    finally:
        sys.argv = before


def places(sources) -> list[tuple[str, str]]:
    return [(source.category, source.name) for source in sources]


def test_categories_come_from_the_folders(tmp_path):
    write(tmp_path / "mine" / "chair" / "a.obj")
    write(tmp_path / "mine" / "robots" / "small" / "r2.stl")
    write(tmp_path / "mine" / "loose.ply")
    assert places(find_sources([tmp_path / "mine"])[0]) == [
        ("03001627", "a"),
        ("mine", "loose"),
        ("robots", "r2"),
    ]


def test_folders_above_the_given_one_name_no_category(tmp_path):
    write(tmp_path / "table" / "plants" / "fern.obj")
    write(tmp_path / "table" / "plants" / "kitchen" / "lamp" / "a.obj")
    assert places(find_sources([tmp_path / "table" / "plants"])[0]) == [
        ("plants", "fern"),
        ("kitchen", "a"),
    ]


def test_shapenet_tree_is_recognized_from_any_level(tmp_path):
    path = write(tmp_path / "core" / "03001627" / "1a6f" / "models" / "model_normalized.obj")
    for start in (tmp_path / "core", path.parents[2], path.parents[1], path):
        assert places(find_sources([start])[0]) == [("03001627", "1a6f")]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("chair", "03001627"),
        ("Sofa", "04256520"),
        ("02958343", "02958343"),
        ("My robots!", "My-robots"),
    ],
)
def test_category_folder_knows_official_names_and_ids(name, folder):
    assert category_folder(name) == folder


@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", "a/b"])
def test_category_cannot_escape_the_dataset(name):
    folder = category_folder(name)
    assert "/" not in folder
    assert not folder.startswith(".")


def test_csv_sets_categories_of_listed_meshes(tmp_path):
    write(tmp_path / "a.obj")
    write(tmp_path / "b.obj")
    csv = write(tmp_path / "c.csv", b"path,category\na.obj,lamp\n")
    found = find_sources([tmp_path])[0]
    sources = with_categories(found, csv, only_listed=False)
    assert [source.category for source in sources] == ["03636649", tmp_path.name]
    assert with_categories(found, csv, only_listed=True) == sources[:1]
    write(csv, b"a.obj,lamp\nmissing.obj,lamp\n")
    with pytest.raises(InputError, match=r"c\.csv:2: expected one of the meshes, got 'missing"):
        with_categories(sources, csv, only_listed=False)


def test_meshes_of_one_name_get_distinct_names(tmp_path):
    write(tmp_path / "chair" / "x" / "seat.obj")
    write(tmp_path / "chair" / "y" / "seat.obj")
    sources = distinct(find_sources([tmp_path])[0])
    assert [source.name for source in sources] == ["chair-x-seat.obj", "chair-y-seat.obj"]


@pytest.mark.parametrize(
    "names", [["chair 1.obj", "chair-1.obj"], ["a/chair 1.obj", "a/chair-1.obj", "b/chair-1.obj"]]
)
def test_names_that_differ_in_punctuation_stay_distinct(tmp_path, names):
    for name in names:
        write(tmp_path / "chair" / name)
    write(tmp_path / "chair" / "table.obj")
    models = [source.name.lower() for source in distinct(find_sources([tmp_path / "chair"])[0])]
    assert len(set(models)) == len(names) + 1


def test_shapes_differ_in_more_than_case(tmp_path):
    for name in ("Chair/a.obj", "chair/a.obj", "chair/A.obj"):
        write(tmp_path / name)
    sources = distinct(find_sources([tmp_path])[0])
    assert len({f"{source.category}/{source.name}".lower() for source in sources}) == 3


def test_mesh_given_twice_is_built_once(tmp_path):
    path = write(tmp_path / "chair" / "a.obj")
    assert len(distinct(find_sources([path, tmp_path])[0])) == 1


def test_prefix_keeps_two_sources_apart(tmp_path):
    for source in ("first", "second"):
        path = write(tmp_path / source / "chair" / "a.obj")
        command(path.parents[1], "--out", tmp_path / "out", "--prefix", source, "--views", 1)
    built = (tmp_path / "out" / "ShapeNetVox32" / "03001627").iterdir()
    assert sorted(path.name for path in built) == ["first-a", "second-a"]


def test_archive_meshes_have_their_textures(tmp_path):
    image = io.BytesIO()
    Image.new("RGB", (2, 2), (10, 200, 30)).save(image, "PNG")
    obj = b"mtllib A.MTL\nv 0 0 0\nv 1 0 0\nv 0 1 1\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n"
    path = archive(
        tmp_path / "lib.zip",
        {
            "things/a.obj": obj,
            "things/a.mtl": b"newmtl m\nmap_Kd C:\\me\\Leaf.png\n",
            "things/leaf.png": image.getvalue(),
            "__MACOSX/things/._a.obj": b"no mesh",
        },
    )
    (source,) = find_sources([path])[0]
    assert (source.category, source.name, source.label) == ("things", "a", "lib.zip/things/a.obj")
    np.testing.assert_array_equal(
        source.load("y", None)[0].textures[0].pixels[0, 0, :3], [10, 200, 30]
    )


def test_sweet_home_3d_catalog_sets_categories_and_rotations(tmp_path):
    entries = {
        "PluginFurnitureCatalog.properties": CATALOG.encode(),
        "me/stool/stool.obj": OBJ,
        "me/wall/wall.obj": OBJ,
        "me/unlisted.obj": OBJ,
    }
    stool, wall = find_sources([archive(tmp_path / "lib.sh3f", entries)])[0]
    assert (stool.category, stool.name) == ("Living-room", "stool")
    assert (wall.category, wall.name) == ("03001627", "wall")
    # The front of Sweet Home 3D's models looks along z, so that its width, along x, becomes z.
    np.testing.assert_allclose(np.ptp(wall.load("y", None)[0].bounds, axis=0), [3, 2, 1])
    np.testing.assert_allclose(np.ptp(stool.load("y", None)[0].bounds, axis=0), [1, 2, 3])


def test_archives_of_windows_may_have_backslashes_and_unmarked_utf8(tmp_path):
    library = b"newmtl m\nKd 1 0 0\n"
    content = f"mtllib stühle.mtl\nusemtl m\n{OBJ.decode()}".encode()
    path = archive(tmp_path / "a.zip", {"a\\chair.obj": content, "a\\stXXhle.mtl": library})
    path.write_bytes(path.read_bytes().replace(b"stXXhle", "stühle".encode()))
    (source,), _ = find_sources([path])
    mesh, notes = source.load("y", None)
    assert notes == [] and mesh.colors[0, 0].tolist() == [255, 0, 0, 255]


def test_large_archive_entry_is_refused(tmp_path, monkeypatch):
    path = archive(tmp_path / "bomb.zip", {"a.obj": b"\n" * 100_000})
    monkeypatch.setattr(assets, "MAX_FILE_BYTES", 1000)
    (source,) = find_sources([path])[0]
    with pytest.raises(InputError, match=r"bomb\.zip/a\.obj: expected at most 1000 bytes"):
        source.load("y", None)


def test_archive_entries_may_have_absolute_and_very_long_names(tmp_path, capsys):
    names = ["/etc/chair.obj", "../../table.obj", f"{'long' * 200}.obj", f"{'long' * 201}.obj"]
    path = archive(tmp_path / "lib.zip", {name: OBJ for name in [*names, "C:\\me\\sofa.obj"]})
    assert command(path, "--out", tmp_path / "out", "--views=1") == 0
    built = [path.name[:8] for path in (tmp_path / "out" / "ShapeNetVox32").glob("*/*")]
    assert sorted(built) == ["chair", "lib.zip-", "lib.zip-", "sofa", "table"]
    assert {path.name for path in tmp_path.iterdir()} == {"lib.zip", "out"}
    assert "5 of 5 meshes" in capsys.readouterr().out


def test_summary_names_each_missing_file_once(tmp_path, capsys):
    for name in ("a", "b", "c"):
        write(tmp_path / "in" / f"{name}.obj", b"mtllib ../../gone.mtl\n" + OBJ)
    assert command(tmp_path / "in", "--out", tmp_path / "out", "--views=1", "--variants=1") == 0
    printed = capsys.readouterr().out
    assert printed.count("gone.mtl") == 1 and "a.obj and 2 more" in printed


def test_default_front_follows_the_format(tmp_path):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "a.glb")
    write(tmp_path / "b.gltf")
    write(tmp_path / "c.obj")
    fronts = {source.name: source.front for source in find_sources([tmp_path])[0]}
    assert fronts == {"a": "z", "b": "z", "c": "-z"}
    source = find_sources([tmp_path / "a.glb"])[0][0]
    np.testing.assert_allclose(np.ptp(source.load("y", None)[0].bounds, axis=0), [3, 2, 1])
    np.testing.assert_allclose(np.ptp(source.load("y", "x")[0].bounds, axis=0), [1, 2, 3])


def test_unexpected_error_skips_one_mesh_only(tmp_path, capsys, monkeypatch):
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.obj")
    write_shape = build_module.write_shape

    def fail_at_a(root, name, *arguments):
        if name.endswith("a"):
            raise OSError(28, "No space left on device")
        write_shape(root, name, *arguments)

    monkeypatch.setattr(build_module, "write_shape", fail_at_a)
    assert command(tmp_path / "in", "--out", tmp_path / "out", "--views=1") == 0
    printed = capsys.readouterr().out
    assert "a.obj: " in printed and "No space left" in printed and "1 of 2 meshes" in printed


def test_damaged_archive_is_named_and_the_rest_is_built(tmp_path, capsys):
    path = write(tmp_path / "lib.zip", b"no archive")
    write(tmp_path / "chair" / "a.obj")
    sources, skipped = find_sources([tmp_path])
    assert [source.name for source in sources] == ["a"]
    assert "expected a ZIP archive" in skipped[str(path)]
    assert command(tmp_path, "--out", tmp_path / "out", "--views=1") == 0
    printed = capsys.readouterr().out
    assert "lib.zip: expected a ZIP archive" in printed and "1 of 2 meshes" in printed
    assert "lib.zip" in (tmp_path / "out" / "failed.csv").read_text()


def test_unusable_meshes_are_listed_and_the_rest_is_built(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "meshes"
    write(folder / "good.obj")
    write(folder / "empty.obj", b"")
    write(folder / "flat.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    os.mkfifo(folder / "pipe.zip")  # waits for a writer for ever
    write(folder / "broken.glb", b"glTF" + bytes(100))
    write(folder / "broken.ply", b"ply\nformat ascii 1.0\nelement vertex 9\nend_header\n1 2\n")
    out = tmp_path / "out"
    assert command(folder, "--out", out, "--category", "chair") == 0
    printed = capsys.readouterr().out
    failed = (out / "failed.csv").read_text()
    for text in (printed, failed):
        for name in ("empty.obj", "flat.obj", "broken.glb", "broken.ply"):
            assert name in text
        assert "found a flat mesh" in text
    assert "1 of 5 meshes" in printed
    assert [path.name for path in (out / "ShapeNetVox32" / "03001627").iterdir()] == ["good"]
    assert {path.name for path in out.iterdir()} == {
        "ShapeNetRendering",
        "ShapeNetVox32",
        "failed.csv",
    }
    for path in folder.glob("[!gp]*"):
        path.unlink()
    assert command(folder, "--out", out, "--category", "chair") == 0
    assert not (out / "failed.csv").exists()


def test_failures_of_one_name_are_listed_separately(tmp_path, capsys):
    folders = [tmp_path / name for name in ("chairs", "tables")]
    for folder in folders:
        write(folder / "001.obj", b"")
    assert command(*folders, "--out", tmp_path / "out") == 1
    printed = capsys.readouterr().out
    assert "chairs/001.obj" in printed and "tables/001.obj" in printed and "0 of 2" in printed


@pytest.mark.parametrize("turn", ["0 0 0 0 0 0 0 0 0", "nan 0 0 0 1 0 0 0 1", "2 0 0 0 1 0 0 0 1"])
def test_bad_catalog_rotation_fails_one_mesh(tmp_path, capsys, turn):
    catalog = CATALOG.replace("0 0 1 0 1 0 -1 0 0", turn)
    entries = {"me/stool/stool.obj": OBJ, "me/wall/wall.obj": OBJ}
    entries["PluginFurnitureCatalog.properties"] = catalog.encode()
    library = archive(tmp_path / "all.sh3f", entries)
    assert command(library, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "stool.obj: " in printed and "expected a rotation" in printed and "1 of 2" in printed


def test_summary_names_what_is_skipped_once(tmp_path, capsys):
    folder = tmp_path / "in"
    mesh = write(folder / "a.obj")
    write(folder / "bad.obj", b"f 1 2 3")
    write(folder / "b.fbx")
    empty = archive(folder / "empty.zip", {"readme.txt": b""})
    assert command(folder, mesh, "--out", tmp_path / "out", "--views", 1, "--variants", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "note: files of formats that cannot be read: 1 .fbx" in lines
    assert [line for line in lines if str(empty) in line] == [
        f"{empty}: expected meshes, found none"
    ]
    assert sum(str(folder / "bad.obj") in line for line in lines) == 1
    assert lines[-1] == f"1 of 3 meshes are in {tmp_path / 'out'}"


def test_archive_entry_of_unbounded_compression_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.obj", OBJ)
    with pytest.raises(InputError, match=r"a\.zip/a\.obj: expected it stored or deflated"):
        find_sources([path])[0][0].load("y", None)


def test_command_works_with_several_processes(tmp_path):
    for name in "ab":
        write(tmp_path / "in" / f"{name}.obj")
    arguments = [tmp_path / "in", "--out", tmp_path / "out", "--views=1", "--processes=2"]
    subprocess.run([sys.executable, "-m", "data.builder", *arguments], check=True, cwd=ROOT)
    assert len(list((tmp_path / "out").glob("ShapeNetVox32/in/*/model.binvox"))) == 2


def test_no_usable_mesh_is_status_1_and_no_mesh_an_error(tmp_path):
    write(tmp_path / "a" / "empty.obj", b"")
    assert command(tmp_path / "a", "--out", tmp_path / "out") == 1
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="expected meshes, found none"):
        command(tmp_path / "b", "--out", tmp_path / "out")
    with pytest.raises(InputError, match="found nothing"):
        command(tmp_path / "c", "--out", tmp_path / "out")


def test_views_and_resolution_options(tmp_path):
    write(tmp_path / "in" / "a.obj")
    out = tmp_path / "out"
    assert command(tmp_path / "in", "--out", out, "--views", 3, "--resolution", 64) == 0
    (rendering,) = (out / "ShapeNetRendering").glob("*/*/rendering")
    assert len(list(rendering.glob("*.png"))) == 3
    assert len((rendering / "rendering_metadata.txt").read_text().splitlines()) == 3
    (voxels,) = (out / "ShapeNetVox32").rglob("model.binvox")
    assert read_binvox(voxels).shape == (64, 64, 64)
    for bad in (("--views", 0), ("--resolution", 40), ("--variants", -1)):
        with pytest.raises(InputError, match=rf"{bad[0]}: "):
            command(tmp_path / "in", "--out", out, *bad)


def test_clashing_axes_are_an_error_before_the_build(tmp_path):
    write(tmp_path / "a.obj")
    with pytest.raises(InputError, match="different axes, got z and -z"):
        command(tmp_path / "a.obj", "--out", tmp_path / "out", "--up", "z")
    assert not (tmp_path / "out").exists()


def test_up_and_front_rotate_the_shape(tmp_path):
    """The box is 1 x 2 x 3; with its front along x and up along z it is 1 deep and 3 high."""
    write(tmp_path / "a.obj")
    command(
        tmp_path / "a.obj", "--out", tmp_path / "out", "--up", "z", "--front", "x", "--views", 1
    )
    (path,) = (tmp_path / "out" / "ShapeNetVox32").rglob("model.binvox")
    filled = [np.flatnonzero(read_binvox(path).any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    assert [len(cells) for cells in filled] == [12, 32, 22]


def test_build_depends_on_the_seed_not_on_processes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.obj")
    sources = find_sources([tmp_path / "in"])[0]
    for out, processes, seed in (("one", 1, 0), ("two", 2, 0), ("other", 1, 1)):
        build(sources, Options(tmp_path / out, views=1, seed=seed), 1, processes)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one") != files(tmp_path / "other")


def test_finished_shapes_are_kept_and_missing_ones_rebuilt_identically(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.obj")
    options, sources = Options(tmp_path / "out", views=2), find_sources([tmp_path / "in"])[0]
    build(sources, options, 0, 1)
    before = files(options.out)
    victim = next(path for path in options.out.rglob("model.binvox") if path.parent.name == "b")
    victim.unlink()
    victim.parent.rmdir()
    kept = next(path for path in options.out.rglob("01.png") if path.parents[1].name == "a")
    time = kept.stat().st_mtime_ns
    build(sources, options, 0, 1)
    assert files(options.out) == before
    assert kept.stat().st_mtime_ns == time
    with pytest.raises(InputError, match="--resolution: expected 32"):
        build(sources, Options(options.out, resolution=64), 0, 1)


def test_stale_folders_are_removed_and_recent_ones_kept(tmp_path):
    write(tmp_path / "in" / "a.obj")
    old, new = (tmp_path / "out" / f".making-{age}" for age in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    build(find_sources([tmp_path / "in"])[0], Options(tmp_path / "out", views=1), 0, 1)
    assert not old.exists()
    assert new.exists()


def test_variants_differ_and_sort_behind_their_original(tmp_path):
    for name in ("a", "a-b", "a.b", "a0", "ab"):
        write(tmp_path / "in" / f"{name}.obj")
    sources = find_sources([tmp_path / "in"])[0]
    names = sorted(replace(source, variant=i).shape for source in sources for i in range(3))
    originals = [name.removeprefix("in/").partition("+")[0] for name in names]
    assert [name for name, before in zip(originals, [None, *originals], strict=False)
            if name != before] == ["a", "a-b", "a.b", "a0", "ab"]  # fmt: skip
    build(sources[:1], Options(tmp_path / "out", views=1), 2, 1)
    voxels = [read_binvox(path).tobytes() for path in (tmp_path / "out").rglob("model.binvox")]
    assert len(set(voxels)) == 3


def test_stretch_stays_within_its_range():
    surface = make_mesh(trimesh.creation.box((1, 1, 1)).triangles)
    generator = np.random.default_rng(0)
    extents = [np.ptp(stretch(surface, generator).bounds, axis=0) for _ in range(200)]
    assert np.min(extents) >= 0.8
    assert np.max(extents) <= 1.25
    assert np.std(extents) > 0.1


def conventions(root: Path, name: str) -> dict:
    """What could tell a built object from an official one, its shape and colors aside."""
    rendering = root / "ShapeNetRendering" / name / "rendering"
    header, _, _ = (
        (root / "ShapeNetVox32" / name / "model.binvox").read_bytes().partition(b"data\n")
    )
    magic, size, translate, scale, _ = header.split(b"\n")
    corner = np.array(translate.split()[1:], float)
    side = float(scale.split()[1])
    occupied = read_binvox(root / "ShapeNetVox32" / name / "model.binvox")
    filled = [np.flatnonzero(occupied.any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    lines = (rendering / "rendering_metadata.txt").read_text().splitlines()
    views = np.array([line.split() for line in lines], float)
    images = [Image.open(rendering / f"{number:02d}.png") for number in range(24)]
    alpha = np.stack([np.asarray(image)[..., 3] for image in images])
    hidden = np.concatenate(
        [np.asarray(image)[a == 0] for image, a in zip(images, alpha, strict=True)]
    )
    centres = ((np.argwhere(occupied) + 0.5) / 32 - 0.5) * side
    on_it = []
    for view, mask in zip(read_views(rendering / "rendering_metadata.txt"), alpha, strict=True):
        column, row = project(view, centres, 137).astype(int).clip(0, 136).T
        on_it.append((mask[row, column] > 0).mean())
    return {
        "files": sorted(path.name for path in rendering.iterdir()),
        "list": (rendering / "renderings.txt").read_text(),
        "binvox": (magic, size, translate.split()[0], scale.split()[0]),
        "a grid around the centered box": bool(np.isclose(2 * np.abs(corner).max(), side, 1e-5)),
        "a diagonal of one": bool(np.isclose(np.linalg.norm(2 * corner), 1, atol=1e-5)),
        "at most six digits": max(len(word.lstrip(b"-0.")) for word in translate.split()[1:]) <= 6,
        "as many cells as the box has": all(
            abs(len(cells) - 32 * width / side) < 2
            for cells, width in zip(filled, -2 * corner, strict=True)
        ),
        "centered cells": all(abs(cells.mean() - 15.5) < 1 for cells in filled),
        "modes": {(image.mode, image.size, image.format) for image in images},
        "cameras": bool(
            ((views >= [0, 25, 0, 0.65, 25]) & (views <= [360, 30, 0, 0.95, 25])).all()
        ),
        "digits": max(len(word.replace(".", "")) for word in " ".join(lines).split()) in (12, 13),
        "smooth edges": 0.01 < ((alpha > 0) & (alpha < 255)).mean() < 0.08,
        "mostly black behind": (hidden == 0).mean() > 0.99,
        "voxels on the silhouette": np.mean(on_it) > 0.8,
    }


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="no official data in ../shared/real")
def test_built_shapes_follow_every_official_convention(tmp_path):
    synthetic.build_synthetic(tmp_path, num_shapes=5, processes=1)
    built = sorted(path.relative_to(tmp_path / "ShapeNetVox32").as_posix()
                   for path in (tmp_path / "ShapeNetVox32").glob("*/*"))  # fmt: skip
    official = sorted(path.relative_to(OFFICIAL / "ShapeNetVox32").as_posix()
                      for path in (OFFICIAL / "ShapeNetVox32").glob("*/*"))  # fmt: skip
    expected = conventions(OFFICIAL, official[0])
    assert all(value is not False for value in expected.values())
    for root, names in ((OFFICIAL, official[1:]), (tmp_path, built)):
        for name in names:
            assert conventions(root, name) == expected, name

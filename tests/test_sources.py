"""Finding meshes: their categories, names, formats, archives and textures."""

import io
import os
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import trimesh

from data.builder.names import category_folder
from data.builder.readers import assimp as assimp_module
from data.builder.sources import distinct, find_sources, read_categories
from tests.helpers import BOX, png, write_files
from utils.errors import InputError

TEXTURED = b"mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 1\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n"
CATALOG = """id#1=Me#stool
category#1=Living room
model#1=/me/stool/stool.obj
modelRotation#1=0 0 1 0 1 0 -1 0 0
id#2=Me#wall
category#2=Chair
model#2=/me/wall/wall.obj
"""
CHAIR = "03001627"
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def zip_of(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def shapes(*paths) -> list[str]:
    return [source.shape for source in distinct(find_sources(list(paths)).sources)]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("chair/a.obj robots/small/r2.stl b.ply", f"{CHAIR}/a pack/b robots/r2"),
        # ShapeNet, and official names next to others with one object
        (f"core/{CHAIR}/1a6f/models/model_normalized.obj", f"{CHAIR}/1a6f"),
        ("bed/a.obj chair/b.obj lamp/c.obj", f"{CHAIR}/b 03636649/c bed/a"),
        # Google Scanned Objects
        ("Mug/meshes/model.obj Boat/meshes/model.obj", "pack/Boat pack/Mug"),
        ("meshes/a_0/model.obj meshes/a_1/model.obj", "pack/a_0 pack/a_1"),
        # 3D-FUTURE
        ("1a/raw_model.obj 1a/normalized_model.obj 2b/raw_model.obj", "pack/1a pack/2b"),
        # Sketchfab
        ("old_bench/scene.gltf iron_bench/scene.gltf", "pack/iron_bench pack/old_bench"),
        ("old_bench/source/x.obj stool/source/y.obj", "pack/old_bench pack/stool"),
        # Poly Haven
        ("Sofa_01/Sofa_01_1k.gltf Sofa_02/Sofa_02_1k.gltf", "pack/Sofa_01 pack/Sofa_02"),
        # Kenney and Quaternius
        ("Models/GLB_format/a.glb Models/OBJ_format/a.obj Models/OBJ_format/b.obj",
         "pack/a pack/b"),
        ("OBJ/a.obj glTF/A.gltf STL/a.stl OFF/a.off OFF/b.off", "pack/A pack/b"),
        ("Assets/fbx(unity)/x.obj Assets/obj/x.obj Assets/obj/y.obj", "pack/x pack/y"),
        ("a_0/a_0.obj a_0/a_0.stl a_1/OBJ/a_1.obj a_1/PLY/a_1.ply", "pack/a_0 pack/a_1"),
        ("Seats/OBJ/a.obj Seats/OBJ/b.obj Cars/OBJ/c.obj Cars/OBJ/d.obj",
         "Cars/c Cars/d Seats/a Seats/b"),
    ],
)  # fmt: skip
def test_folders_name_categories_and_shapes(tmp_path, files, expected):
    write_files(tmp_path / "pack", *(name.replace("_f", " f") for name in files.split()))
    assert sorted(shapes(tmp_path / "pack")) == expected.split()


def test_folders_may_be_given_at_any_level(tmp_path):
    write_files(tmp_path / "table" / "plants", "fern.obj", "kitchen/lamp/a.obj", "kitchen/b.obj")
    assert shapes(tmp_path / "table" / "plants") == ["plants/fern", "kitchen/b", "kitchen/a"]
    name = f"core/{CHAIR}/1a6f/models/model_normalized.obj"
    path = write_files(tmp_path, name) / name
    for start in (tmp_path / "core", path.parents[2], path.parents[1], path):
        assert shapes(start) == [f"{CHAIR}/1a6f"]
    write_files(tmp_path / "pack", "a_0/model.obj", "a_1/meshes/model.obj")
    assert sorted(shapes(*(tmp_path / "pack").iterdir())) == ["pack/a_0", "pack/a_1"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [("chair", CHAIR), ("Sofa", "04256520"), ("02958343", "02958343"), ("My robots!", "My-robots"),
     ("../../etc", "etc"), ("..", "unnamed"), ("a/b", "a-b")],
)  # fmt: skip
def test_category_folder_knows_official_names_and_stays_in_the_dataset(name, folder):
    assert category_folder(name) == folder


def test_csv_sets_categories_and_the_file_of_an_object(tmp_path):
    write_files(tmp_path, "a.obj", "a.glb", "b.obj")
    csv = write_files(tmp_path, "c.csv", content=b"path,category\na.obj,lamp\n") / "c.csv"
    sources = find_sources([tmp_path], read_categories(csv), "chair").sources
    assert [source.label for source in sources] == ["a.obj", "b.obj"]
    assert [source.category for source in sources] == ["03636649", "chair"]
    write_files(tmp_path, "c.csv", content=b"a.obj,lamp\nmissing.obj,lamp\n")
    with pytest.raises(InputError, match=r"given, got .*missing.obj"):
        find_sources([tmp_path], read_categories(csv))
    write_files(tmp_path, "c.csv", content=b"a.obj\n")
    with pytest.raises(InputError, match=r"c\.csv:1: expected path,category, got 'a.obj'"):
        read_categories(csv)


@pytest.mark.parametrize(
    "names",
    [
        ["x/seat.obj", "y/seat.obj"],
        ["chair 1.obj", "chair-1.obj"],
        ["a/chair 1.obj", "a/chair-1.obj", "b/chair-1.obj"],
        ["Seat.obj", "seat.obj", "x/seat.obj"],
    ],
)
def test_shapes_have_different_names_in_any_letter_case(tmp_path, names):
    write_files(tmp_path / "chair", *names, "table.obj")
    assert len({shape.lower() for shape in shapes(tmp_path / "chair")}) == len(names) + 1


def test_object_in_several_formats_is_built_from_the_preferred_one(tmp_path):
    write_files(
        tmp_path, "x.glb", "x.gltf", "x.obj", "y.off", "y.stl", "y.ply", "OBJ/z.obj", "STL/z.stl"
    )
    write_files(tmp_path, "pack.zip", content=zip_of({"v.obj": BOX, "w.obj": BOX}))
    write_files(tmp_path / "pack", "v.obj", "w.obj")
    found = find_sources([tmp_path, tmp_path / "x.obj"])  # a file given twice
    names = sorted(source.name for source in found.sources)
    assert names == ["v", "w", "x", "y", "z"] and len(found.copies) == 7
    kept = {source.name: source.location.suffix for source in found.sources}
    assert (kept["x"], kept["y"], kept["z"]) == (".glb", ".ply", ".obj")


# Archives


def test_archives_name_their_meshes_as_folders_do(tmp_path):
    many = {"things/a.obj": BOX, "things/b.obj": BOX, "c.obj": BOX, "__MACOSX/things/._a.obj": b""}
    write_files(tmp_path, "many.zip", content=zip_of(many))
    assert shapes(tmp_path / "many.zip") == ["many/c", "things/a", "things/b"]
    odd = ["/etc/chair.obj", "../../table.obj", "C:\\me\\sofa.obj", "long" * 200 + ".obj"]
    write_files(tmp_path, "lib.zip", content=zip_of(dict.fromkeys(odd, BOX)))
    found = sorted(shape[:12] for shape in shapes(tmp_path / "lib.zip"))
    assert found == ["lib/C", "lib/etc", "lib/longlong", "lib/table"]
    for name in ("mug", "boat"):
        inner = zip_of({f"{name}_v2.obj": BOX})
        write_files(tmp_path, f"pack/{name}.zip", content=zip_of({"source/x.zip": inner}))
    assert sorted(shapes(tmp_path / "pack")) == ["pack/boat", "pack/mug"]


def test_sweet_home_3d_catalog_sets_categories_and_rotations(tmp_path):
    entries = ["me/stool/stool.obj", "me/wall/wall.obj", "me/unlisted.obj"]
    content = {"PluginFurnitureCatalog.properties": CATALOG.encode()} | dict.fromkeys(entries, BOX)
    write_files(tmp_path, "lib.sh3f", content=zip_of(content))
    stool, wall = find_sources([tmp_path / "lib.sh3f"]).sources
    assert (stool.shape, wall.shape) == ("Living-room/stool", f"{CHAIR}/wall")
    # The front of Sweet Home 3D's models looks along z, so that its width, along x, becomes z.
    np.testing.assert_allclose(np.ptp(wall.load("y", None)[0].bounds, axis=0), [3, 2, 1])
    np.testing.assert_allclose(np.ptp(stool.load("y", None)[0].bounds, axis=0), [1, 2, 3])


def test_archives_of_windows_may_have_backslashes_and_unmarked_utf8(tmp_path):
    content = f"mtllib stühle.mtl\nusemtl m\n{BOX.decode()}".encode()
    library = zip_of({"a\\chair.obj": content, "a\\stXXhle.mtl": b"newmtl m\nKd 1 0 0\n"})
    write_files(tmp_path, "a.zip", content=library.replace(b"stXXhle", "stühle".encode()))
    (source,) = find_sources([tmp_path]).sources
    mesh, notes = source.load("y", None)
    assert notes == [] and mesh.colors[0, 0].tolist() == [255, 0, 0, 255]


def test_damaged_archives_and_other_formats_are_named(tmp_path):
    others = {"a.fbx": b"", "inner.zip": zip_of({"b.skp": b"", "c.stp": b""}), "cut.zip": b"PK"}
    others["a.html"] = b"<html>"
    write_files(tmp_path, "other.zip", content=zip_of(others))
    write_files(tmp_path, "damaged.zip", content=b"no archive")
    write_files(tmp_path, "a.obj", "x.rar", "y.MAX")
    found = find_sources([tmp_path])
    assert [source.name for source in found.sources][:1] == ["a"]
    assert "expected a ZIP archive" in found.problems[str(tmp_path / "damaged.zip")]
    assert found.others >= Counter([".skp", ".stp", ".rar", ".max", "damaged .zip"])
    write_files(tmp_path / "b", "x.skp", "y.skp", "z.rar")
    with pytest.raises(InputError, match=r"found none; .*: 1 \.rar, 2 \.skp"):
        find_sources([tmp_path / "b"])
    with pytest.raises(InputError, match="found nothing"):
        find_sources([tmp_path / "gone"])


# Textures


@pytest.mark.parametrize(
    ("mesh", "image"),
    [
        ("bench/meshes/model.obj", "bench/materials/textures/red.png"),
        ("bench/source/model.obj", "bench/textures/RED.png"),
        ("pack/Models/OBJ format/a.obj", "pack/Textures/red.png"),
        ("pack/a.obj", "pack/textures/wood/red.png"),
        ("pack/obj/a.obj", "pack/red.png"),
    ],
)
@pytest.mark.parametrize("name", ["red.png", "C:\\me\\wood\\red.png", "../maps/my%20/red.png"])
def test_textures_are_found_in_other_folders_of_the_object(tmp_path, mesh, image, name):
    library = f"newmtl m\nmap_Kd {name}\n".encode()
    files = {mesh: TEXTURED, str(Path(mesh).parent / "a.mtl"): library, image: png((255, 0, 0))}
    for path, content in files.items():
        write_files(tmp_path / "folder", path, content=content)
    write_files(tmp_path, "a.zip", content=zip_of(files))
    for given in (tmp_path / "folder", tmp_path / "a.zip"):
        assert load_color(given) == [255, 0, 0, 255]


def load_color(path: Path) -> list[int] | None:
    """Return the color of the texture of the only mesh in a folder or an archive."""
    (source,) = find_sources([path]).sources
    mesh, notes = source.load("y", None)
    assert bool(notes) == (not mesh.textures)
    return mesh.textures[0].pixels[0, 0].tolist() if mesh.textures else None


def test_textures_of_an_archive_may_be_beside_it(tmp_path):
    mesh = zip_of({"x.obj": TEXTURED, "a.mtl": b"newmtl m\nmap_Kd red.png\n"})
    files = {"source/b.zip": mesh, "textures/red.png": png((255, 0, 0))}
    write_files(tmp_path, "a.zip", content=zip_of(files))
    for name, content in files.items():
        write_files(tmp_path / "chair", name, content=content)
    for given in (tmp_path / "a.zip", tmp_path / "chair"):
        assert load_color(given) == [255, 0, 0, 255]


@pytest.mark.parametrize("image", ["red.png", "textures/red.png", "pack/../other/red.png"])
def test_textures_of_other_objects_are_not_read(tmp_path, image):
    chair = write_files(tmp_path, "pack/chair/x.obj", content=TEXTURED) / "pack" / "chair"
    write_files(chair, "a.mtl", content=b"newmtl m\nmap_Kd C:/red.png\n")
    write_files(tmp_path, image, content=png((255, 0, 0)))
    (chair / "red.png").symlink_to(tmp_path / image)
    assert load_color(chair) is None


def test_pointers_in_place_of_textures_and_libraries_are_named(tmp_path):
    files = {"a.obj": TEXTURED, "a.mtl": b"newmtl m\nmap_Kd red.png\n", "red.png": LFS_POINTER}
    for name, content in files.items():
        write_files(tmp_path, name, content=content)
    (source,) = find_sources([tmp_path]).sources
    assert "git lfs pull" in source.load("y", None)[1][0]
    write_files(tmp_path, "a.mtl", content=LFS_POINTER)
    with pytest.raises(InputError, match=r"^a\.mtl: .*git lfs pull"):
        source.load("y", None)


# Other formats


@pytest.fixture
def assimp(tmp_path, monkeypatch):
    """Put a shell script in the place of the program."""

    def install(script):
        program = write_files(tmp_path, "bin/assimp", content=f"#!/bin/sh\n{script}\n".encode())
        (program / "bin" / "assimp").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    return install


@pytest.mark.parametrize("suffix, size", [("FBX", [1, 2, 3]), ("blend", [1, 3, 2])])
def test_other_formats_are_converted_in_an_empty_folder(tmp_path, assimp, suffix, size):
    """Blender has z up, and assimp leaves it so."""
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "box.bin", file_type="glb")
    assimp(f'[ "$(ls)" = mesh.{suffix.lower()} ] && cp {tmp_path}/box.bin "$3"')
    write_files(tmp_path / "in", f"a.{suffix}", "b.obj")
    converted, _ = find_sources([tmp_path / "in"]).sources
    assert converted.front == "z"  # glTF's
    np.testing.assert_allclose(np.ptp(converted.load("y", "x")[0].bounds, axis=0), size)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo ERROR: odd file; exit 1", "assimp cannot convert it: odd file"),
        ("echo ERROR: ; kill -SEGV $$", "assimp cannot convert it: it crashed"),
        ("exec sleep 60", "assimp took more than 0.5 s"),
    ],
)
def test_failed_conversion_is_one_line(tmp_path, assimp, monkeypatch, script, message):
    assimp(script)
    if "sleep" in script:
        monkeypatch.setattr(assimp_module, "MAX_SECONDS", 0.5)
    write_files(tmp_path / "in", "a.fbx")
    with pytest.raises(InputError, match=message):
        find_sources([tmp_path / "in"]).sources[0].load("y", None)


@pytest.mark.skipif(shutil.which("assimp") is None, reason="assimp is not installed")
@pytest.mark.parametrize("suffix", ["dae", "3ds"])
def test_assimp_converts_meshes(tmp_path, suffix):
    write_files(tmp_path, "a.obj", content=b"mtllib a.mtl\nusemtl m\n" + BOX)
    write_files(tmp_path, "a.mtl", content=b"newmtl m\nKd 1 0 0\n")
    command = ["assimp", "export", "a.obj", f"in/chair.{suffix}"]
    (tmp_path / "in").mkdir()
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    (source,) = find_sources([tmp_path / "in"]).sources
    mesh, _ = source.load("y", "x")
    assert sorted(np.ptp(mesh.bounds, axis=0).round(3)) == [1, 2, 3]
    assert mesh.colors[0, 0].tolist() == [255, 0, 0, 255]

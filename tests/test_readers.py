"""Mesh files as they are in the wild: each test writes a file of one kind."""

import io
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.builder.mesh import GRAY
from data.builder.readers import parse_mesh
from data.builder.readers.assets import FolderAssets
from data.builder.voxelize import voxelize
from tests.helpers import RED, colors_of, png, write_files
from utils.errors import InputError

WHITE = [255, 255, 255, 255]
CUBE = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1))
QUADS = [(1, 3, 4, 2), (5, 6, 8, 7), (1, 2, 6, 5), (3, 7, 8, 4), (1, 5, 7, 3), (2, 4, 8, 6)]
FACES = "".join(f"f {a} {b} {c} {d}\n" for a, b, c, d in QUADS)
TEXTURED = f"mtllib m.mtl\nusemtl m\n{CUBE}vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
TEXTURED += "".join(f"f {a}/1 {b}/2 {c}/3 {d}/4\n" for a, b, c, d in QUADS)
# A U: concave, seen from two sides; its notch must stay open.
U = [(0, 0), (8, 0), (8, 8), (6, 8), (6, 2), (2, 2), (2, 8), (0, 8)]
U_POINTS = [(x, y, z) for z in (0, 2) for x, y in U]
U_FACES = [list(range(7, -1, -1)), list(range(8, 16))]
U_FACES += [[i, (i + 1) % 8, 8 + (i + 1) % 8, 8 + i] for i in range(8)]


XYZ = "float x, float y, float z"
INDICES = "list uchar int vertex_indices"


def ply(
    vertex: str, rows: str, faces: str, face=INDICES, name="face", form="ascii", extra=""
) -> str:
    """Return a PLY file, or its header, of properties such as "float x, float y"."""
    header = f"ply\nformat {form} 1.0\n{extra}"
    for element, properties, lines in (("vertex", vertex, rows), (name, face, faces)):
        header += f"element {element} {lines.count(chr(10))}\n"
        header += "".join(f"property {item}\n" for item in properties.split(", "))
    return f"{header}end_header\n" + (rows + faces if form == "ascii" else "")


# Polygons


def u_file(kind: str) -> str:
    rows = "".join("{} {} {}\n".format(*point) for point in U_POINTS)
    faces = "".join(f"{len(face)} {' '.join(map(str, face))}\n" for face in U_FACES)
    if kind == "obj":
        statements = [("v", *point) for point in U_POINTS]
        statements += [("f", *(i + 1 for i in face)) for face in U_FACES]
        return "".join(f"{' '.join(map(str, words))}\n" for words in statements)
    return f"OFF\n16 10 0\n{rows}{faces}" if kind == "off" else ply(XYZ, rows, faces)


@pytest.mark.parametrize("kind", ["obj", "off", "ply"])
def test_concave_polygons_stay_open(read, kind):
    mesh = read(f"u.{kind}", u_file(kind))
    assert trimesh.triangles.area(mesh.triangles).sum() == pytest.approx(2 * 40 + 2 * 44)
    voxels = voxelize(mesh)
    assert not voxels[10:22, 10:].any() and voxels.sum() == (32 * 8 + 2 * 8 * 24) * 8


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0, 0, 0), (4, 0, 0), (4, 0, 0), (4, 4, 0), (4, 4, 0), (1, 1, 0)], 8.0),  # repeated
        ([(0, 0, 0), (2, 0, 0), (2, 2, 0), (1, 0.5, 0.1), (0, 2, 0)], 2.5),  # not quite planar
        # A square with a square hole, cut open between them.
        ([(0, 0, 0), (6, 0, 0), (6, 6, 0), (0, 6, 0), (0, 0, 0), (2, 2, 0), (2, 4, 0), (4, 4, 0),
          (4, 2, 0), (2, 2, 0)], 32.0),
    ],
)  # fmt: skip
def test_odd_polygons_are_covered(read, points, expected):
    vertices = "".join("v {} {} {}\n".format(*point) for point in points)
    corners = " ".join(str(i + 1) for i in range(len(points)))
    mesh = read("a.obj", f"{vertices}f {corners}\n")
    covered = trimesh.triangles.area(mesh.triangles).sum()
    assert covered == pytest.approx(expected, rel=0.05)


# Text


BASE = f"mtllib m.mtl\n{CUBE}usemtl m\n{FACES}"


@pytest.mark.parametrize(
    "content",
    [
        f"# caf\xe9\n{BASE}".encode("latin-1"),
        BASE.encode("utf-8-sig"),
        BASE.replace("\n", "\r"),
        BASE.replace("\n", "\r\n"),
        BASE.replace(" ", "\t"),
        BASE.replace("m\n", "m # red\n").replace("\nf", " # x\nf"),
        BASE.replace("mtllib", "MTLLIB").replace("usemtl", "USEMTL").replace("\nf", "\nF"),
        BASE.replace(" 2\n", " 2#x\n"),
        BASE.replace("f 1 3", "f 1 \\\n3"),
        BASE.replace("f 1 3", "f 1 \\\r\n 3"),
        BASE.replace("f 1 3 4 2", "f -8 -6 -5 -7"),
        BASE.replace("usemtl m", "usemtl #1"),
    ],
    ids="latin-1 bom cr crlf tabs comments capitals comment continued crlf2 negative hash".split(),
)
def test_text_in_any_form_is_read(read, content):
    library = b"# \xe9\nnewmtl m\nKd 1 0 0\nnewmtl #1\nKd 1 0 0\n"
    mesh = read("cube.obj", content, m_mtl=library)
    assert len(mesh.triangles) == 12 and colors_of(mesh) == [RED]
    assert mesh.triangles.mean((0, 1)) == pytest.approx([0.5, 0.5, 0.5])  # of all six sides


def test_normals_that_are_no_number_are_replaced(read):
    content = f"{CUBE}vn nan 0 0\nf 1//1 3//1 4//1\n{FACES}"
    assert np.isfinite(read("a.obj", content).normals).all()


@pytest.mark.parametrize("line", ["f 1 2 99", "f 1 2 x", "f 1 2 0", "f 1 2 -99", "v x 1 2"])
def test_bad_statements_are_refused(read, line):
    with pytest.raises(InputError):
        read("a.obj", f"{CUBE}{FACES}{line}\n")


# MTL


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\ufeffnewmtl m\nKd 1 0 0\n", RED),
        ("newmtl m # red\nKd 1 0 0 # red\n", RED),
        ("newmtl m\nKd 0.2\n", [51, 51, 51, 255]),
        ("  newmtl m\n\tKd 1 0 0\n", RED),
        ("newmtl M\nKd 1 0 0\n", RED),
        ("newmtl m\nKd 7 0 0\n", RED),
        ("newmtl m\nNs 3\n", list(GRAY)),
        ("newmtl m\nKd spectral a.rfl 1\n", list(GRAY)),
        ("newmtl m\nKd 0 0 0\nKe 1 0 0\n", RED),
        ("newmtl m\nKd 1 0 0\nKe 0 1 0\n", RED),
        ("newmtl m\nKd 0 0 0\nKe 0 0 0\n", [0, 0, 0, 255]),
        ("newmtl m\nKd 1 0 0\nd 0.2\n", [255, 0, 0, 51]),
        ("newmtl m\nKd 1 0 0\nd -halo 0.2\n", [255, 0, 0, 51]),
        ("newmtl m\nKd 1 0 0\nTr 0.8\n", [255, 0, 0, 51]),
        ("newmtl m\nKd 1 0 0\nTr 0.9\nd 1\n", RED),
        ("newmtl m\nKd 1 0 0\nTr 1.0\n", RED),  # this and the next mean opaque to some exporters
        ("newmtl m\nKd 1 0 0\nd 0\nTr 0\n", RED),
    ],
)
def test_colors_of_materials(read, content, expected):
    mesh = read("cube.obj", BASE, m_mtl=content)
    assert colors_of(mesh) == [expected] and not mesh.textures and not read.notes


def test_opacity_of_a_mask(read):
    Image.frombytes("L", (2, 1), b"\x00\xff").save(file := io.BytesIO(), "PNG")
    library = "newmtl m\nKd 1 0 0\nmap_d d.png\n"
    mesh = read("a.obj", TEXTURED, m_mtl=library, d_png=file.getvalue())
    assert colors_of(mesh) == [RED]
    assert mesh.textures[0].pixels[..., 3].tolist() == [[0, 255]]


@pytest.mark.parametrize("line", ["d 0", "map_d d.png", "map_Kd t.png"])
def test_invisible_materials_are_left_out_unless_all_are(read, line):
    images = {"d_png": png(0, "L"), "t_png": png((1, 2, 3, 0), "RGBA")}
    library = f"newmtl m\n{line}\nnewmtl n\nKd 1 0 0\n"
    both = read("a.obj", f"{TEXTURED}usemtl n\nf 1 2 3\n", m_mtl=library, **images)
    assert colors_of(both) == [RED] and len(both.triangles) == 1 and "left out" in read.notes[0]
    alone = read("b.obj", TEXTURED, m_mtl=library, **images)
    assert len(alone.triangles) == 12 and "opaque" in read.notes[0]
    assert (alone.colors[..., 3] == 255).all()
    assert all((texture.pixels[..., 3] == 255).all() for texture in alone.textures)


@pytest.mark.parametrize(
    "line",
    ["map_Kd t.png", "map_Kd -s 1 1 1 t.png", "map_Kd -clamp on t.png", "map_Kd T.PNG",
     'map_Kd "t.png"', "map_kd -blendu on -o 0 0 0 -mm 0 1 t.png", "map_Kd C:\\me\\t.png",
     "map_Kd t.png # wood", "map_Kd ./x/../t.png", "map_Ka t.png", "map_Ke t.png",
     "Ke 1 1 1\nmap_Ke t.png"],
)  # fmt: skip
def test_texture_statements_in_the_wild(read, line):
    mesh = read("a.obj", TEXTURED, m_mtl=f"newmtl m\nKd 0 0 0\n{line}\n", t_png=png((9, 8, 7)))
    assert mesh.textures[0].pixels[0, 0].tolist() == [9, 8, 7, 255] and read.notes == []
    assert mesh.textures[0].clamp == (("-clamp" in line,) * 2) and colors_of(mesh) == [WHITE]


def test_texture_names_may_have_spaces_and_options(read, tmp_path):
    (tmp_path / "my wood.png").write_bytes(png((9, 8, 7)))
    mesh = read("a.obj", TEXTURED, m_mtl="newmtl m\nmap_Kd -s 2 3 -o 0.5 my wood.png\n")
    assert mesh.uv.min((0, 1)).tolist() == [0.5, 0] and mesh.uv.max((0, 1)).tolist() == [2.5, 3]


@pytest.mark.parametrize("line", ["mtllib a.mtl b.mtl", 'mtllib "a.mtl"\nmtllib b.mtl'])
def test_several_material_libraries(read, line):
    others = {"a_mtl": "newmtl M\nKd 0 1 0\n", "b_mtl": "newmtl m\nKd 1 0 0\n"}
    assert colors_of(read("cube.obj", f"{line}\n{CUBE}usemtl m\n{FACES}", **others)) == [RED]


@pytest.mark.parametrize("line", ["mtllib old.mtl\n", ""])
def test_the_library_of_a_renamed_mesh_is_found(read, line):
    mesh = read("cube.obj", f"{line}{CUBE}usemtl m\n{FACES}", cube_mtl="newmtl m\nKd 1 0 0\n")
    assert colors_of(mesh) == [RED] and any("cube.mtl" in n for n in read.notes) == bool(line)


def test_textures_are_found_from_the_folder_of_their_library(read, tmp_path):
    write_files(tmp_path, "parts/t.png", content=png((9, 8, 7)))
    write_files(tmp_path, "parts/m.mtl", content=b"newmtl m\nmap_Kd t.png\n")
    mesh = read("a.obj", TEXTURED.replace("m.mtl", "parts\\m.mtl"))
    assert mesh.textures[0].pixels[0, 0].tolist() == [9, 8, 7, 255] and read.notes == []


def test_missing_and_damaged_files_are_noted_once_and_leave_a_color(read):
    content = f"mtllib gone.mtl\n{TEXTURED}usemtl n\n{FACES}"
    material = "newmtl m\nKd 0 0 0\nmap_Kd gone.png\nnewmtl n\nKd 1 0 0\nmap_Kd t.png\n"
    mesh = read("cube.obj", content, m_mtl=material, t_png=b"no image")
    assert colors_of(mesh) == [list(GRAY), RED] and not mesh.textures
    for name in ("gone.mtl", "gone.png", "t.png"):
        assert sum(name in note for note in read.notes) == 1


def test_eps_texture_is_not_run_as_the_program_that_it_is(read, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "t.eps")
    content = (tmp_path / "t.eps").read_bytes()
    mesh = read("a.obj", TEXTURED, m_mtl="newmtl m\nmap_Kd t.png\n", t_png=content)
    assert not mesh.textures and "not an image" in read.notes[0]


def test_scaling_keeps_the_color_of_transparent_pixels(read):
    pixels = (200, 100, 50, 0)
    image = png(pixels, "RGBA", (1024, 8))
    mesh = read("a.obj", TEXTURED, m_mtl="newmtl m\nmap_Kd t.png\n", t_png=image)
    assert mesh.textures[0].pixels[0, 0].tolist() == [200, 100, 50, 255]


# Vertex colors and single formats


@pytest.mark.parametrize("row", ["1 0 0", "255 0 0", "1 1 0 0"])
@pytest.mark.parametrize(("material", "alpha"), [("", 255), ("Kd 1 1 1\nTr 0.8", 51)])
def test_obj_vertex_colors_multiply_the_material(read, row, material, alpha):
    content = BASE.replace(CUBE, "".join(f"{line} {row}\n" for line in CUBE.splitlines()))
    mesh = read("cube.obj", content, m_mtl=f"newmtl m\n{material}\n")
    assert colors_of(mesh) == [[255, 0, 0, alpha]]


@pytest.mark.parametrize("kind", ["obj", "off", "ply", "stl"])
def test_faces_without_an_area_are_left_out(read, kind):
    """They are of three corners in one point, two in one point, or three in a line."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [90, 90, 90], [60, 60, 60]], float)
    faces = [[0, 1, 2], [3, 3, 3], [3, 0, 0], [3, 4, 0]]
    content = trimesh.Trimesh(points, faces, process=False).export(file_type=kind)
    assert read(f"a.{kind}", content).bounds.tolist() == [[0, 0, 0], [1, 1, 1]]
    content = trimesh.Trimesh(points, faces[1:], process=False).export(file_type=kind)
    with pytest.raises(InputError, match="triangles"):
        read(f"b.{kind}", content)


POINTS = "0 0 0\n1 0 0\n1 1 1\n0 1 0\n"


@pytest.mark.parametrize(("kind", "values"), [("uchar", "255 0 0"), ("float", "1 0 0")])
def test_ply_vertex_colors(read, kind, values):
    rows = POINTS.replace("\n", f" {values}\n")
    properties = f"{XYZ}, {kind} red, {kind} green, {kind} blue"
    assert colors_of(read("a.ply", ply(properties, rows, "3 0 1 2\n"))) == [RED]


def test_ply_face_colors(read):
    faces = "4 0 1 2 3 255 0 0\n3 0 1 2 0 0 255\n"
    properties = "list uchar int vertex_index, uchar red, uchar green, uchar blue"
    mesh = read("a.ply", ply(XYZ, POINTS, faces, properties))
    assert mesh.colors[:, 0, :3].tolist() == [[255, 0, 0], [255, 0, 0], [0, 0, 255]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_ply_binary_with_faces_of_several_sizes(read, order):
    form = f"binary_{'little' if order == '<' else 'big'}_endian"
    header = ply("double x, float y, short z", POINTS, "0\n0\n", form=form).replace("\n", "\r\n")
    points = [struct.pack(f"{order}dfh", *map(int, row.split())) for row in POINTS.splitlines()]
    body = b"".join(points) + struct.pack(f"{order}B4iB3i", 4, 0, 1, 2, 3, 3, 0, 1, 2)
    mesh = read("a.ply", header.encode() + body)
    assert len(mesh.triangles) == 3 and mesh.bounds.tolist() == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(InputError):
        read("b.ply", header.encode() + body[:-1])


@pytest.mark.parametrize("strips", ["8 0 1 2 3 -1 4 3 2\n", "4 0 1 2 3\n3 4 3 2\n"])
def test_ply_strips_alternate_their_winding(read, strips):
    points = "0 0 0\n0 1 0\n1 0 0\n1 1 0\n2 0 1\n"
    mesh = read("a.ply", ply(XYZ, points, strips, "list int int vertex_indices", "tristrips"))
    assert np.sign(trimesh.triangles.cross(mesh.triangles)[:, 2]).tolist() == [-1, -1, 1]


def test_ply_lines_may_be_longer_than_the_header_says(read):
    content = ply(XYZ, POINTS.replace("\n", " 9\n", 1), "3 0 1 2 9 1 1\n3 0 2 3 9\n")
    mesh = read("a.ply", content)
    assert len(mesh.triangles) == 2 and mesh.bounds.tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("kind", ["off", "ply"])
def test_rows_may_be_wrapped_but_not_cut_off(read, kind):
    whole, (start, end) = u_file(kind), ("8 7 6 5", " 4 3 2 1 0\n")
    wrapped = whole.replace(start + end, f"{start}\n{end}").replace("8 8 2", "8\n8\n2")
    expected = read(f"a.{kind}", whole).triangles
    np.testing.assert_array_equal(read(f"b.{kind}", wrapped).triangles, expected)
    for bad in (whole[:-3], whole.replace(start + end, f"{start}\n")):
        with pytest.raises(InputError):
            read(f"c.{kind}", bad)


@pytest.mark.parametrize("per_face", [False, True])
def test_ply_textures(read, per_face):
    points, comment = "0 0 0\n1 0 0\n0 1 1\n", "comment TextureFile t.png\n"
    if per_face:
        faces = ("3 0 1 2 6 0 0 1 0 0 1\n", f"{INDICES}, list uchar float texcoord")
        content = ply(XYZ, points, *faces, extra=comment)
    else:
        points = "0 0 0 0 0\n1 0 0 1 0\n0 1 1 0 1\n"
        content = ply(f"{XYZ}, float s, float t", points, "3 0 1 2\n", extra=comment)
    mesh = read("a.ply", content, t_png=png((9, 8, 7)))
    assert mesh.uv.tolist() == [[[0, 0], [1, 0], [0, 1]]]
    assert mesh.textures[0].pixels[0, 0].tolist() == [9, 8, 7, 255] and read.notes == []
    mesh = read("b.ply", content.replace("t.png", "gone.png"))
    assert colors_of(mesh) == [list(GRAY)] and read.notes == ["missing gone.png"]


@pytest.mark.parametrize(
    ("header", "extra"),
    [("COFF", " 255 0 0 255"), ("COFF", " 1 0 0 1"), ("NOFF", " 0 0 1"), ("STOFF", " 0.5 0.5"),
     ("STCNOFF", " 0 0 1 1.0 0 0 1 .5 .5"), ("OFF", " 255 0 0")],
)  # fmt: skip
def test_off_header_forms(read, header, extra):
    rows = "".join(f"{point}{extra}  # a point\n" for point in ("0 0 0", "1 0 0", "0 1 1"))
    mesh = read("a.off", f"{header}\n# a comment\n\n3 1 0\n{rows}3 0 1 2\n")
    has_colors = "C" in header or extra == " 255 0 0"
    assert colors_of(mesh) == [RED if has_colors else list(GRAY)]
    if "N" in header:
        assert mesh.normals.tolist() == [[[0, 0, 1]] * 3]


@pytest.mark.parametrize("header", ["OFF\n4 3 0", "OFF4 3 0"])
def test_off_face_colors_and_counts_on_the_header_line(read, header):
    mesh = read("a.off", f"{header}\n{POINTS}3 0 1 2 255 0 0\n3 0 2 3 0.0 0 1\n3 1 2 3\n")
    assert mesh.colors[[0, 2], 0].tolist() == [RED, list(GRAY)]


STL = trimesh.creation.box().export(file_type="stl")
ASCII_STL = trimesh.creation.box().export(file_type="stl_ascii").removeprefix("solid")


@pytest.mark.parametrize(
    "content",
    [
        STL + b"tail",
        STL[:80] + struct.pack("<I", 99) + STL[84:],
        STL[:80] + bytes(4) + STL[84:] + b"tail",
        b"solid vertex".ljust(80) + STL[80:] + b"tail",
        f"solid vertex {ASCII_STL}".encode(),
        f"solid {5000 * 'v'} {ASCII_STL}".encode(),
        f"solid caf\xe9 {ASCII_STL}".encode("latin-1"),
    ],
    ids=["trailing", "count too high", "count zero", "binary solid", "vertex", "long", "latin-1"],
)
def test_stl_with_a_wrong_count_or_any_name_is_read(read, content):
    assert len(read("a.stl", content).triangles) == 12


@pytest.mark.parametrize(
    ("header", "attributes", "expected"),
    [
        (b"", [0, 0], [list(GRAY), list(GRAY)]),
        (b"", [0xFC00, 31 << 10], [RED, list(GRAY)]),  # VisCAM: a facet of no color is gray
        (b"COLOR=\x00\xff\x00\xff", [31, 0x8000], [RED, [0, 255, 0, 255]]),  # Materialise
    ],
)
def test_stl_face_colors(read, header, attributes, expected):
    content = bytearray(header.ljust(80) + STL[80:])
    for i, attribute in enumerate(attributes):
        struct.pack_into("<H", content, 84 + 50 * i + 48, attribute)
    assert read("a.stl", bytes(content)).colors[:2, 0].tolist() == expected


@pytest.mark.parametrize("suffix", [".obj", ".off", ".ply", ".stl", ".glb", ".gltf"])
def test_damaged_files_are_refused_in_one_line(tmp_path, suffix):
    kind = suffix[1:]
    content = trimesh.creation.box().export(file_type="glb" if kind == "gltf" else kind)
    content = content.encode() if isinstance(content, str) else content
    for damaged in (b"", content[:90], bytes(200)):
        with pytest.raises(InputError) as error:
            parse_mesh(damaged, f"a{suffix}", FolderAssets(tmp_path))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["link.png", "LINK.PNG", "../../secret.png", "..%2f..%2fsecret.png", "//h/secret.png"]
)
def test_files_outside_the_parent_folder_are_not_read(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(png((1, 2, 3)))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    found = FolderAssets(folder)
    assert found.get_image(name) is None and found.notes == [f"missing {name}"]
    (tmp_path / "a" / "t.png").write_bytes(png((1, 2, 3)))
    assert found.get("../t.png") is None and found.get_image("../t.png") is not None

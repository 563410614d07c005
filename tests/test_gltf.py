"""glTF files of every kind: each test writes one."""

import base64
import io
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.builder.mesh import GRAY
from tests.helpers import RED, colors_of, png
from utils.errors import InputError


def gltf(primitive=None, node=None, points=None, **extra) -> bytes:
    """Return a GLB of one triangle; arrays among `extra["arrays"]` become accessors 1, 2, ..."""
    points = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 1]]) if points is None else points
    arrays = [points, *extra.pop("arrays", [])]
    types = {"f4": 5126, "u1": 5121, "i1": 5120, "u2": 5123, "i2": 5122, "u4": 5125}
    shapes = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
    images = extra.pop("images", [])
    views, accessors, binary = [], [], b""
    for array in arrays:
        binary += bytes(-len(binary) % 4)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes})
        width = array.shape[1] if array.ndim > 1 else 1
        kind = array.dtype.str[1:]
        accessors.append({"bufferView": len(views) - 1, "count": len(array), "type": shapes[width],
                          "componentType": types[kind],
                          "normalized": kind in ("u1", "u2", "i2")})  # fmt: skip
        binary += array.tobytes()
    for image in images:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(image)})
        binary += image
    first = len(arrays)
    content = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **(node or {})}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, **(primitive or {})}]}],
        "bufferViews": views, "accessors": accessors, "buffers": [{"byteLength": len(binary)}],
        "images": [{"bufferView": first + i, "mimeType": "image/png"} for i in range(len(images))],
        "textures": [{"source": i, "sampler": 0} for i in range(len(images))],
        "samplers": [extra.pop("sampler", {})],
    }  # fmt: skip
    content |= extra
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def material(**entry) -> dict:
    return {"primitive": {"attributes": {"POSITION": 0}, "material": 0}, "materials": [entry]}


UV = np.float32([[0, 0], [1, 0], [0.25, 0.5]])


def textured(texture=None, uv=UV, pixels=None, **entry) -> dict:
    info = {"index": 0, **(texture or {})}
    attributes = {"POSITION": 0, f"TEXCOORD_{info.get('texCoord', 0)}": 1}
    pbr = {"baseColorTexture": info, **entry.pop("pbr", {})}
    return {
        "primitive": {"attributes": attributes, "material": 0},
        "arrays": [uv],
        "images": [png(pixels or (200, 100, 50, 255), "RGBA")],
        "materials": [{"pbrMetallicRoughness": pbr, **entry}],
    }


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.uint16])
@pytest.mark.parametrize(("mode", "alpha"), [("OPAQUE", 255), ("BLEND", 51)])
def test_gltf_colors_are_linear_and_multiply_the_factor(read, dtype, mode, alpha):
    colors = np.tile([1, 0.5, 1, 0.2], (3, 1))
    colors = colors.astype("f4") if dtype == np.float32 else np.rint(colors * np.iinfo(dtype).max)
    factor = {"baseColorFactor": [0.2140411, 1, 1, 1]}
    options = material(pbrMetallicRoughness=factor, alphaMode=mode)
    options["primitive"]["attributes"]["COLOR_0"] = 1
    mesh = read("a.glb", gltf(arrays=[colors.astype(dtype)], **options))
    np.testing.assert_allclose(mesh.colors[0, 0], [128, 188, 255, alpha], atol=1)


def test_gltf_without_material_is_gray_and_colors_alone_are_kept(read):
    assert colors_of(read("a.glb", gltf())) == [list(GRAY)]
    primitive = {"attributes": {"POSITION": 0, "COLOR_0": 1}}
    red = np.tile(np.float32([1, 0, 0]), (3, 1))
    assert colors_of(read("b.glb", gltf(primitive, arrays=[red]))) == [RED]


def test_gltf_uv_points_down_and_sets_and_transforms_apply(read):
    assert read("a.glb", gltf(**textured())).uv.tolist() == [[[0, 1], [1, 1], [0.25, 0.5]]]
    assert read("b.glb", gltf(**textured({"texCoord": 1}))).uv[0, 2].tolist() == [0.25, 0.5]
    transform = {"offset": [0.5, 0], "scale": [0.5, 2], "rotation": np.pi / 2}
    info = {"extensions": {"KHR_texture_transform": transform}}
    # (u, v) = (0.25, 0.5): scaled (0.125, 1), turned (1, -0.125), moved (1.5, -0.125)
    np.testing.assert_allclose(read("c.glb", gltf(**textured(info))).uv[0, 2], [1.5, 1.125])
    shorts = np.uint16([[0, 0], [65535, 0], [0, 65535]])
    mesh = read("d.glb", gltf(**textured(uv=shorts)))
    np.testing.assert_allclose(mesh.uv[0], [[0, 1], [1, 1], [0, 0]])


def test_gltf_wrap_modes(read):
    sampler = {"wrapS": 33071, "wrapT": 33648}
    mesh = read("a.glb", gltf(**textured(), sampler=sampler))
    assert mesh.textures[0].clamp == (True, False)
    assert mesh.textures[0].pixels.shape == (4, 2, 4)  # mirrored along v
    np.testing.assert_allclose(mesh.uv[0, 2], [0.25, 0.75])


@pytest.mark.parametrize(
    ("mode", "pixel", "factor", "expected"),
    [("OPAQUE", 0, 0.3, 1), ("MASK", 100, 1, 0), ("MASK", 200, 1, 1), ("MASK", 200, 0.5, 0),
     ("BLEND", 51, 1, 0.2), ("BLEND", 51, 0.4, 0.08)],
)  # fmt: skip
def test_gltf_alpha_modes(read, mode, pixel, factor, expected):
    image = Image.frombytes("RGBA", (2, 1), bytes([9, 9, 9, pixel, 9, 9, 9, 255]))
    image.save(file := io.BytesIO(), "PNG")
    pbr = {"baseColorFactor": [1, 1, 1, factor]}
    options = textured(pbr=pbr, alphaMode=mode) | {"images": [file.getvalue()]}
    mesh = read("a.glb", gltf(**options))
    alpha = mesh.textures[0].pixels[0, 0, 3] / 255 * mesh.colors[0, 0, 3] / 255
    assert alpha == pytest.approx(expected)


def test_gltf_specular_glossiness_and_emission(read):
    glossy = {"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [1, 0, 0, 1]}}
    required = {"extensionsRequired": list(glossy)}
    assert colors_of(read("a.glb", gltf(**material(extensions=glossy), **required))) == [RED]
    black = {"baseColorFactor": [0, 0, 0, 1]}
    options = material(pbrMetallicRoughness=black, emissiveFactor=[1, 0, 0])
    assert colors_of(read("b.glb", gltf(**options))) == [RED]
    options = textured(emissiveFactor=[1, 1, 1], emissiveTexture={"index": 0})
    options["materials"][0]["pbrMetallicRoughness"] = black
    mesh = read("c.glb", gltf(**options))
    assert mesh.textures[0].pixels[0, 0].tolist() == [200, 100, 50, 255]


def test_gltf_unlit_materials_have_no_normals(read):
    mesh = read("a.glb", gltf(**material(extensions={"KHR_materials_unlit": {}})))
    assert not mesh.normals.any()


@pytest.mark.parametrize("mode", [5, 6])
def test_gltf_strips_and_fans(read, mode):
    points = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.5]])
    points = points[[0, 1, 3, 2]] if mode == 6 else points
    mesh = read("a.glb", gltf({"mode": mode}, points=points))
    normals = trimesh.triangles.cross(mesh.triangles)
    assert len(normals) == 2 and (normals[:, 2] > 0).all()


def test_gltf_quantized_positions_are_scaled(read):
    points = np.int16([[0, 0, 0], [32767, 0, 0], [0, 32767, 16384]])
    required = {"extensionsRequired": ["KHR_mesh_quantization"]}
    mesh = read("a.glb", gltf(points=points, node={"scale": [2, 2, 2]}, **required))
    np.testing.assert_allclose(mesh.bounds[1], [2, 2, 1], atol=1e-4)


def test_gltf_skins_at_rest_ignore_the_nodes_place(read):
    primitive = {"attributes": {"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2}}
    joints, weights = np.zeros((3, 4), np.uint8), np.tile(np.float32([1, 0, 0, 0]), (3, 1))
    inverse = np.eye(4, dtype=np.float32).T.reshape(1, 16).copy()
    inverse[0, 12] = 2  # moves by +2 along x
    content = gltf(primitive, arrays=[joints, weights, inverse],
                   nodes=[{"mesh": 0, "skin": 0, "translation": [100, 0, 0]},
                          {"translation": [0, 7, 0]}],
                   scenes=[{"nodes": [0, 1]}],
                   skins=[{"joints": [1], "inverseBindMatrices": 3}])  # fmt: skip
    assert read("a.glb", content).bounds.tolist() == [[2, 7, 0], [3, 8, 1]]


@pytest.mark.parametrize("uri", ["my%20points.bin", "MY POINTS.BIN"])
def test_gltf_names_may_be_percent_encoded(read, tmp_path, uri):
    points = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 1]])
    (tmp_path / "my points.bin").write_bytes(points.tobytes())
    entry = json.loads(gltf()[20:].split(b"BIN")[0][:-4].rstrip(b"\0 "))
    entry["buffers"] = [{"uri": uri, "byteLength": 36}]
    assert len(read("a.gltf", json.dumps(entry)).triangles) == 1
    data = base64.b64encode(points.tobytes()).decode()
    entry["buffers"] = [{"uri": f"data:application/octet-stream;base64,{data}", "byteLength": 36}]
    assert len(read("b.gltf", json.dumps(entry)).triangles) == 1
    entry["buffers"] = [{"uri": "gone.bin", "byteLength": 36}]
    with pytest.raises(InputError, match=r"missing gone\.bin"):
        read("c.gltf", json.dumps(entry))


def test_gltf_shows_the_default_scene_alone(read):
    nodes = [{"mesh": 0}, {"children": [2], "translation": [5, 0, 0]}, {"mesh": 0}]
    scenes = [{"nodes": [0]}, {"nodes": [1]}]
    for i, expected in ((0, [0, 1]), (1, [5, 6])):
        mesh = read("a.glb", gltf(nodes=nodes, scenes=scenes, scene=i))
        assert mesh.bounds[:, 0].tolist() == expected


def test_gltf_draco_is_decoded(read):
    draco = pytest.importorskip("DracoPy")
    box = trimesh.creation.box()
    encoded = draco.encode(box.vertices.astype(np.float32), box.faces.astype(np.uint32))
    points = np.zeros((len(box.vertices), 3), np.float32)
    extension = {"bufferView": 1, "attributes": {"POSITION": 0}}
    primitive = {"extensions": {"KHR_draco_mesh_compression": extension}, "indices": 1}
    content = gltf(primitive, points=points, arrays=[np.frombuffer(encoded, np.uint8)],
                   extensionsRequired=["KHR_draco_mesh_compression"])  # fmt: skip
    mesh = read("a.glb", content)
    np.testing.assert_allclose(mesh.bounds, box.bounds, atol=1e-3)


@pytest.mark.parametrize("hidden", [{"extensions": {"KHR_node_visibility": {"visible": False}}},
                                    {"scale": [0, 0, 0]}])  # fmt: skip
def test_gltf_hidden_nodes_are_left_out_with_those_below(read, hidden):
    nodes = [{"mesh": 0, "translation": [5, 0, 0]}, {"children": [2], **hidden}, {"mesh": 0}]
    mesh = read("a.glb", gltf(nodes=nodes, scenes=[{"nodes": [0, 1]}]))
    assert mesh.bounds[:, 0].tolist() == [5, 6]


@pytest.mark.parametrize("name", ["EXT_meshopt_compression", "EXT_mesh_gpu_instancing"])
def test_gltf_extensions_that_change_the_geometry_are_refused_by_name(read, name):
    with pytest.raises(InputError, match=name):
        read("a.glb", gltf(extensionsRequired=[name]))


@pytest.mark.parametrize("name", ["KHR_materials_transmission", "KHR_xmp_json_ld", "MY_thing"])
def test_gltf_other_extensions_are_ignored_with_a_note(read, name):
    assert len(read("a.glb", gltf(extensionsRequired=[name])).triangles) == 1
    assert len(read.notes) == 1 and name in read.notes[0]


@pytest.mark.parametrize(
    ("changes", "is_textured"),
    [
        ({"textures": [{"extensions": {"EXT_texture_webp": {"source": 0}}}]}, True),
        ({"textures": [{"extensions": {"KHR_texture_basisu": {"source": 1}}, "source": 0}]}, True),
        ({"textures": [{"extensions": {"KHR_texture_basisu": {"source": 0}}}],
          "extensionsRequired": ["KHR_texture_basisu"]}, False),
        ({"textures": [{}]}, False),
        ({"images": [b"no image"]}, False),
        ({"arrays": [np.float32([[0, 0, 7], [1, 0, 7], [0.25, 0.5, 7]])]}, True),
    ],
)  # fmt: skip
def test_gltf_textures_that_cannot_be_read_cost_the_texture_alone(read, changes, is_textured):
    options = textured() | changes
    mesh = read("a.glb", gltf(**options))
    assert len(mesh.textures) == is_textured and bool(read.notes) != is_textured
    assert colors_of(mesh) == [[255] * 4 if is_textured else list(GRAY)]

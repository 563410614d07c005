"""glTF 2.0, as JSON with separate files (.gltf) or in one file (.glb)."""

import re
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from data.builder.mesh import Mesh, Texture, linear_to_srgb, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.gltf.buffers import GltfFile, normalized
from data.builder.readers.gltf.materials import GltfMaterial, read_material
from data.builder.readers.gltf.scene import Placement, find_placements
from data.builder.readers.polygons import strip_triangles

TRIANGLES, STRIP, FAN = 4, 5, 6
ATTRIBUTE = re.compile(r"POSITION|NORMAL|COLOR_0|TEXCOORD_\d+|(JOINTS|WEIGHTS)_[01]")
DRACO = "KHR_draco_mesh_compression"


class Primitive(NamedTuple):
    """The index of a material, triangles (F, 3), and attributes (N, size) of their vertices."""

    material: int | None
    faces: np.ndarray
    attributes: dict[str, np.ndarray]


def read_gltf(content: bytes, assets: Assets, name: str) -> list[Mesh]:
    """Read a glTF file, one mesh a primitive and place."""
    file = GltfFile(content, assets)
    primitives_of = cache(partial(_read_mesh, file))
    material_of = cache(partial(read_material, file))
    meshes = []
    for placement in find_placements(file):
        for primitive in primitives_of(placement.mesh):
            has_colors = "COLOR_0" in primitive.attributes
            material = material_of(primitive.material, has_colors)
            meshes.append(_place(primitive, material, placement))
    return meshes


def _read_mesh(file: GltfFile, i: int) -> list[Primitive]:
    """Return those primitives of a mesh that have triangles: others are points and lines."""
    mesh = file.items("meshes")[i]
    if any(mesh.get("weights", [])):
        file.assets.note("morph targets are left out")
    primitives = []
    for entry in mesh["primitives"]:
        is_surface = entry.get("mode", TRIANGLES) in (TRIANGLES, STRIP, FAN)
        if is_surface and "POSITION" in entry["attributes"]:
            primitives.append(_read_primitive(file, entry))
    return primitives


def _read_primitive(file: GltfFile, entry: dict) -> Primitive:
    if DRACO in entry.get("extensions", {}):
        attributes, faces = _decode_draco(file, entry)
    else:
        attributes = _read_attributes(file, entry)
        indices = np.arange(len(attributes["POSITION"]))
        if "indices" in entry:
            indices = file.array(entry["indices"])[:, 0].astype(int)
        faces = _faces(indices, entry.get("mode", TRIANGLES))
    # Many primitives may share one large table of vertices.
    used, index = np.unique(faces, return_inverse=True)
    attributes = {name: values[used] for name, values in attributes.items()}
    if "COLOR_0" in attributes and not attributes["COLOR_0"][:, :3].any():
        del attributes["COLOR_0"]  # no author means black everywhere: it is another tool's mask
    return Primitive(entry.get("material"), index.reshape(-1, 3), attributes)


def _read_attributes(file: GltfFile, entry: dict) -> dict[str, np.ndarray]:
    """Return those attributes by name that can change what is seen."""
    names = [name for name in entry["attributes"] if ATTRIBUTE.fullmatch(name)]
    return {name: file.array(entry["attributes"][name]) for name in names}


def _faces(indices: np.ndarray, mode: int) -> np.ndarray:
    """Return the triangles (F, 3) of a list, a strip or a fan."""
    if mode == TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if mode == STRIP:
        return strip_triangles(indices)
    first = np.full(max(len(indices) - 2, 0), indices[0])
    return np.stack([first, indices[1:-1], indices[2:]], axis=1)


def _decode_draco(file: GltfFile, entry: dict) -> tuple[dict, np.ndarray]:
    import DracoPy  # here alone: it is not on every system

    extension = entry["extensions"][DRACO]
    decoded = DracoPy.decode(bytes(file.view(extension["bufferView"])[0]))
    attributes = _read_attributes(file, entry)
    for name, unique_id in extension["attributes"].items():
        values = np.asarray(decoded.get_attribute_by_unique_id(unique_id)["data"])
        accessor = file.items("accessors")[entry["attributes"][name]]
        attributes[name] = normalized(values.reshape(len(values), -1), accessor)
    return attributes, np.asarray(decoded.faces, int).reshape(-1, 3)


def _place(primitive: Primitive, material: GltfMaterial, placement: Placement) -> Mesh:
    """Return a primitive in its place."""
    faces, attributes = primitive.faces, primitive.attributes
    points, normals = _transform(placement, attributes)
    colors = attributes.get("COLOR_0")
    factor = material.factor
    if colors is not None:
        rgba, channels = np.ones((len(colors), 4)), colors.shape[1] if material.is_blended else 3
        rgba[:, :channels] = colors[:, :channels]
        factor = (rgba * factor)[faces]
    uv = texture = None
    if material.texture is not None:
        texture = Texture(material.texture.pixels, material.texture.clamp)
        uv = attributes.get(f"TEXCOORD_{material.texture.uv_set}")
        uv = None if uv is None else material.texture.uv(uv)[faces]
    normals = None if normals is None else normals[faces]
    mesh = make_mesh(points[faces], linear_to_srgb(factor), normals, uv, texture)
    return mesh if material.is_lit else replace(mesh, normals=np.zeros_like(mesh.normals))


def _transform(placement: Placement, attributes: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the points (N, 3) in the scene and their normals, if the file has some."""
    points = np.insert(attributes["POSITION"].astype(float), 3, 1, axis=1)
    if placement.joints is not None and "JOINTS_0" in attributes:
        sets = [i for i in (0, 1) if f"JOINTS_{i}" in attributes]
        index = np.concatenate([attributes[f"JOINTS_{i}"] for i in sets], axis=1).astype(int)
        weights = np.concatenate([attributes[f"WEIGHTS_{i}"] for i in sets], axis=1)
        matrices = np.einsum("nk,nkij->nij", weights, placement.joints[index])
        return np.einsum("nij,nj->ni", matrices, points)[:, :3], None
    normals, linear = attributes.get("NORMAL"), placement.matrix[:3, :3]
    if normals is not None:
        invertible = abs(np.linalg.det(linear)) > 1e-12 * np.abs(linear).max() ** 3
        normals = normals @ np.linalg.inv(linear) if invertible else None
    return (points @ placement.matrix.T)[:, :3], normals

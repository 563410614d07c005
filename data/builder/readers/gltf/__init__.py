"""glTF 2.0, as JSON with separate files (.gltf) or in one file (.glb)."""

import re
from dataclasses import dataclass, replace

import numpy as np

from data.builder.mesh import Mesh, linear_to_srgb, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.gltf.buffers import GltfFile, normalized
from data.builder.readers.gltf.materials import Materials
from data.builder.readers.gltf.scene import Placement, find_placements
from utils.errors import InputError

TRIANGLES, STRIP, FAN = 4, 5, 6
ATTRIBUTE = re.compile(r"POSITION|NORMAL|COLOR_0|TEXCOORD_\d+|(JOINTS|WEIGHTS)_[01]")
DRACO = "KHR_draco_mesh_compression"
MAX_DRACO_BYTES = 2**24  # a decoder may need a hundred times as much memory


def read_gltf(content: bytes, assets: Assets, name: str) -> list[Mesh]:
    """Read a glTF file, one mesh a primitive and place."""
    file = GltfFile(content, assets)
    primitives: dict[tuple[int, int], _Primitive | None] = {}
    parts: list[tuple[Placement, _Primitive]] = []
    for placement in find_placements(file):
        if placement.joints is None and not placement.matrix[:3, :3].any():
            continue  # scaled to zero: hidden
        for i, entry in enumerate(file.items("meshes")[placement.mesh]["primitives"]):
            key = placement.mesh, i
            if key not in primitives:
                primitives[key] = _read_primitive(file, entry)
            if (primitive := primitives[key]) is not None:
                parts.append((placement, primitive))
    materials = Materials(file)
    return [_make_mesh(file, materials, *part) for part in parts]


@dataclass
class _Primitive:
    """A primitive's JSON, its triangles (F, 3) and the attributes (N, size) of their vertices.

    `used` are the indices (N,) of these vertices in the file.
    """

    entry: dict
    faces: np.ndarray
    attributes: dict[str, np.ndarray]
    used: np.ndarray


def _read_primitive(file: GltfFile, entry: dict) -> _Primitive | None:
    """Return a primitive, or None if it has no triangles."""
    mode = entry.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in entry["attributes"]:
        return None  # points and lines
    if DRACO in entry.get("extensions", {}):
        attributes, faces = _decode_draco(file, entry)
    else:
        attributes = _read_attributes(file, entry)
        num_points = len(attributes["POSITION"])
        indices = (
            file.array(entry["indices"])[:, 0] if "indices" in entry else np.arange(num_points)
        )
        faces = _faces(indices, mode).astype(int)
    if not len(faces):
        return None
    num_points = len(attributes["POSITION"])
    if faces.max() >= num_points:
        raise InputError(f"expected indices below {num_points}, got {faces.max()}")
    # Many primitives may share one large table of vertices.
    used, index = np.unique(faces, return_inverse=True)
    attributes = {name: values[used] for name, values in attributes.items()}
    return _Primitive(entry, index.reshape(-1, 3), attributes, used)


def _read_attributes(file: GltfFile, entry: dict) -> dict[str, np.ndarray]:
    """Return those attributes by name that can change what is seen."""
    names = [name for name in entry["attributes"] if ATTRIBUTE.fullmatch(name)]
    return {name: file.array(entry["attributes"][name]) for name in names}


def _faces(indices: np.ndarray, mode: int) -> np.ndarray:
    """Return the triangles (F, 3) of a list, a strip or a fan."""
    if mode == TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    first = indices[:-2] if mode == STRIP else indices[:1].repeat(len(indices[2:]))
    faces = np.stack([first, indices[1:-1], indices[2:]], axis=1)
    if mode == STRIP:
        faces[1::2] = faces[1::2][:, [0, 2, 1]]
    return faces


def _decode_draco(file: GltfFile, entry: dict) -> tuple[dict, np.ndarray]:
    try:
        import DracoPy
    except ImportError as error:
        raise InputError(f"needs {DRACO}; install DracoPy to read it") from error
    extension = entry["extensions"][DRACO]
    content, _ = file.view(extension["bufferView"])
    if len(content) > MAX_DRACO_BYTES:
        raise InputError(f"expected at most {MAX_DRACO_BYTES} bytes of {DRACO}, got {len(content)}")
    decoded = DracoPy.decode(bytes(content))
    attributes = _read_attributes(file, entry)
    for name, unique_id in extension["attributes"].items():
        values = np.asarray(decoded.get_attribute_by_unique_id(unique_id)["data"])
        accessor = file.items("accessors")[entry["attributes"][name]]
        attributes[name] = normalized(values.reshape(len(values), -1), accessor)
    return attributes, np.asarray(decoded.faces, int).reshape(-1, 3)


def _make_mesh(
    file: GltfFile, materials: Materials, placement: Placement, primitive: _Primitive
) -> Mesh:
    """Return a primitive in its place."""
    attributes, faces = primitive.attributes, primitive.faces
    colors = attributes.get("COLOR_0")
    if colors is not None and not colors[:, :3].any():
        colors = None  # no author means black everywhere: such data is another tool's mask
    material = materials.get(primitive.entry.get("material"), colors is not None)
    attributes = _morph(file, primitive, placement.weights)
    points, normals = _transform(placement, attributes)
    factor = material.factor
    if colors is not None:
        rgba, channels = np.ones((len(colors), 4)), colors.shape[1] if material.is_blended else 3
        rgba[:, :channels] = colors[:, :channels]
        factor = (rgba * factor)[faces]
    uv = attributes.get(f"TEXCOORD_{material.uv_set}")
    uv = None if uv is None or material.texture is None else material.uv(uv)[faces]
    normals = None if normals is None else normals[faces]
    mesh = make_mesh(points[faces], linear_to_srgb(factor), normals, uv, material.texture)
    return mesh if material.is_lit else replace(mesh, normals=np.zeros_like(mesh.normals))


def _morph(file: GltfFile, primitive: _Primitive, weights: list[float]) -> dict:
    """Return the attributes with the morph targets added by their weights."""
    attributes = dict(primitive.attributes)
    for weight, target in zip(weights, primitive.entry.get("targets", []), strict=False):
        for name in ("POSITION", "NORMAL"):
            if weight and name in target and name in attributes:
                delta = file.array(target[name])[primitive.used]
                attributes[name] = attributes[name] + weight * delta
    return attributes


def _transform(placement: Placement, attributes: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the points (N, 3) in the scene and their normals, if the file has some."""
    points = np.insert(attributes["POSITION"].astype(float), 3, 1, axis=1)
    matrix = placement.matrix
    if placement.joints is not None and "JOINTS_0" in attributes:
        weighted = np.zeros((len(points), 4, 4))
        for i in (0, 1):
            if f"JOINTS_{i}" in attributes:
                joints = attributes[f"JOINTS_{i}"].astype(int)
                weights = attributes[f"WEIGHTS_{i}"].astype(float)
                for j in range(4):
                    weighted += weights[:, j, None, None] * placement.joints[joints[:, j]]
        return np.einsum("nij,nj->ni", weighted, points)[:, :3], None
    normals = attributes.get("NORMAL")
    if normals is not None:
        linear = matrix[:3, :3]
        invertible = abs(np.linalg.det(linear)) > 1e-12 * np.abs(linear).max() ** 3
        normals = normals @ np.linalg.inv(linear) if invertible else None
    return (points @ matrix.T)[:, :3], normals

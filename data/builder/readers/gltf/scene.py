"""The node tree of glTF 2.0: where its meshes are, skins at rest."""

from dataclasses import dataclass

import numpy as np

from data.builder.readers.gltf.buffers import GltfFile
from utils.errors import InputError

MAX_PARTS = 20_000  # primitives at all their places; each takes 2 ms


@dataclass
class Placement:
    """A mesh at a node. Its vertices go by `matrix` (4, 4), or by a matrix a joint (J, 4, 4)."""

    mesh: int
    matrix: np.ndarray
    joints: np.ndarray | None
    weights: list[float]  # of morph targets


def find_placements(file: GltfFile) -> list[Placement]:
    """Return the meshes of the default scene, or of all nodes where there is no scene."""
    nodes = file.items("nodes")
    children = {child for node in nodes for child in node.get("children", [])}
    roots = shown = [i for i in range(len(nodes)) if i not in children]
    if file.items("scenes"):
        shown = file.items("scenes")[file.json.get("scene", 0)].get("nodes", [])
    matrices = _world_matrices(nodes, shown)
    joints = matrices | _world_matrices(nodes, roots, matrices) if file.items("skins") else {}
    skins: dict[int, np.ndarray] = {}
    placements, num_parts = [], 0
    for i, matrix in matrices.items():
        node = nodes[i]
        if "mesh" in node:
            mesh = file.items("meshes")[node["mesh"]]
            instances = _instances(file, node)
            num_parts += len(instances) * max(1, len(mesh["primitives"]))
            _check_num_parts(num_parts)
            weights, skin = node.get("weights", mesh.get("weights", [])), node.get("skin")
            if skin is not None and skin not in skins:
                skins[skin] = _joint_matrices(file, skin, joints)
            for instance in instances:
                place = matrix @ instance
                placements.append(Placement(node["mesh"], place, skins.get(skin), weights))
    return placements


def _check_num_parts(num_parts: int) -> None:
    if num_parts > MAX_PARTS:
        raise InputError(f"expected at most {MAX_PARTS} placed primitives, got {num_parts}")


def _instances(file: GltfFile, node: dict) -> list[np.ndarray]:
    """Return the matrices (4, 4) of EXT_mesh_gpu_instancing, or the identity."""
    extension = node.get("extensions", {}).get("EXT_mesh_gpu_instancing", {})
    attributes = {
        name.lower(): file.array(accessor)
        for name, accessor in extension.get("attributes", {}).items()
        if name in ("TRANSLATION", "ROTATION", "SCALE")
    }
    if not attributes:
        return [np.eye(4)]
    rows = zip(*attributes.values(), strict=True)
    _check_num_parts(len(next(iter(attributes.values()))))
    return [_local_matrix(dict(zip(attributes, row, strict=True))) for row in rows]


def _world_matrices(nodes: list[dict], roots: list[int], known=()) -> dict[int, np.ndarray]:
    """Return the matrices (4, 4) of unknown nodes under the roots, in the order of the tree."""
    matrices, origin = {}, np.eye(4)
    queue = [(i, origin) for i in reversed(roots)]
    while queue:
        i, parent = queue.pop()
        if i not in matrices and i not in known:  # a damaged file can have a node twice
            matrices[i] = parent @ _local_matrix(nodes[i])
            queue += [(child, matrices[i]) for child in reversed(nodes[i].get("children", []))]
    return matrices


def _local_matrix(node: dict) -> np.ndarray:
    if "matrix" in node:
        return np.reshape(np.array(node["matrix"], float), (4, 4)).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= node.get("scale", (1, 1, 1))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _joint_matrices(file: GltfFile, i: int, matrices: dict[int, np.ndarray]) -> np.ndarray:
    """Return the matrices (J, 4, 4) of a skin's joints."""
    skin = file.items("skins")[i]
    joints = np.stack([matrices[joint] for joint in skin["joints"]])
    if "inverseBindMatrices" in skin:
        inverse = file.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = joints @ inverse[: len(joints)]
    return joints

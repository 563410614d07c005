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
    if file.items("scenes"):
        roots = file.items("scenes")[file.json.get("scene", 0)].get("nodes", [])
    else:
        children = {child for node in nodes for child in node.get("children", [])}
        roots = [i for i in range(len(nodes)) if i not in children]
    matrices: dict[int, np.ndarray] = {}
    shown = _add_matrices(nodes, roots, matrices)
    _add_matrices(nodes, [i for i in range(len(nodes)) if i not in matrices], matrices)  # joints
    skins: dict[int, np.ndarray] = {}
    placements = []
    num_parts = 0
    for i in shown:
        if "mesh" in nodes[i]:
            mesh = nodes[i]["mesh"]
            weights = nodes[i].get("weights", file.items("meshes")[mesh].get("weights", []))
            skin = nodes[i].get("skin")
            if skin is not None and skin not in skins:
                skins[skin] = _joint_matrices(file, skin, matrices)
            instances = _instances(file, nodes[i])
            num_parts += len(instances) * max(1, len(file.items("meshes")[mesh]["primitives"]))
            _check_num_parts(num_parts)
            for instance in instances:
                matrix = matrices[i] @ instance
                placements.append(Placement(mesh, matrix, skins.get(skin), weights))
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


def _add_matrices(
    nodes: list[dict], roots: list[int], matrices: dict[int, np.ndarray]
) -> list[int]:
    """Add the world matrices (4, 4) of nodes under the roots; return those nodes."""
    known = set(matrices)
    found, queue = [], [(i, np.eye(4)) for i in reversed(roots)]
    while queue:
        i, parent = queue.pop()
        if i in matrices:
            if i not in known:
                raise InputError("expected a tree of nodes, got a node twice")
            continue
        found.append(i)
        matrices[i] = parent @ _local_matrix(nodes[i])
        queue += [(child, matrices[i]) for child in reversed(nodes[i].get("children", []))]
    return found


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

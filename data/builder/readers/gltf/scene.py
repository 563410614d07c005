"""The node tree of glTF 2.0: where its meshes are, skins at rest."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from data.builder.readers.gltf.buffers import GltfFile


class Placement(NamedTuple):
    """A mesh at a node. Its vertices go by `matrix` (4, 4), or by a matrix a joint (J, 4, 4)."""

    mesh: int
    matrix: np.ndarray
    joints: np.ndarray | None
    weights: list[float]  # one a morph target


def find_placements(file: GltfFile) -> list[Placement]:
    """Return the visible meshes of the default scene, or of all nodes where there is no scene."""
    nodes = file.items("nodes")
    children = {child for node in nodes for child in node.get("children", [])}
    roots = shown = [i for i in range(len(nodes)) if i not in children]
    if file.items("scenes"):
        shown = file.items("scenes")[file.json.get("scene", 0)].get("nodes", [])
    matrices: dict[int | None, np.ndarray] = {None: np.eye(4)}
    for i, parent in _walk(nodes, roots):  # joints can be outside of the scene
        matrices[i] = matrices[parent] @ _local_matrix(nodes[i])

    placements, hidden = [], set()
    for i, parent in _walk(nodes, shown):
        visibility = _extension(nodes[i], "KHR_node_visibility")
        if parent in hidden or not visibility.get("visible", True):
            hidden.add(i)
        elif "mesh" in nodes[i]:
            mesh, skin = nodes[i]["mesh"], nodes[i].get("skin")
            weights = nodes[i].get("weights", file.items("meshes")[mesh].get("weights", []))
            joints = None if skin is None else _joint_matrices(file, skin, matrices)
            for instance in _instances(file, nodes[i]):
                placements.append(Placement(mesh, matrices[i] @ instance, joints, weights))
    return placements


def _walk(nodes: list[dict], roots: list[int]) -> Iterator[tuple[int, int | None]]:
    """Yield each node under the roots once, in the order of the tree, with its parent."""
    queue: list[tuple[int, int | None]] = [(i, None) for i in reversed(roots)]
    seen = set()
    while queue:
        i, parent = queue.pop()
        if i not in seen:  # in a damaged file, a node can be below itself
            seen.add(i)
            yield i, parent
            queue += [(child, i) for child in reversed(nodes[i].get("children", []))]


def _extension(entry: dict, name: str) -> dict:
    return entry.get("extensions", {}).get(name, {})


def _instances(file: GltfFile, node: dict) -> list[np.ndarray]:
    """Return the matrices (4, 4) of EXT_mesh_gpu_instancing, or the identity."""
    accessors = _extension(node, "EXT_mesh_gpu_instancing").get("attributes", {})
    names = [name for name in ("TRANSLATION", "ROTATION", "SCALE") if name in accessors]
    attributes = {name.lower(): file.array(accessors[name]) for name in names}
    if not attributes:
        return [np.eye(4)]
    rows = zip(*attributes.values(), strict=True)
    return [_local_matrix(dict(zip(attributes, row, strict=True))) for row in rows]


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


def _joint_matrices(file: GltfFile, i: int, matrices: dict) -> np.ndarray:
    """Return the matrices (J, 4, 4) of a skin's joints."""
    skin = file.items("skins")[i]
    joints = np.stack([matrices[joint] for joint in skin["joints"]])
    if "inverseBindMatrices" in skin:
        inverse = file.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = joints @ inverse[: len(joints)]
    return joints

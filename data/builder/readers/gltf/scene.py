"""The node tree of glTF 2.0: where its meshes are, skins at rest."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from data.builder.readers.gltf.buffers import GltfFile


class Placement(NamedTuple):
    """A mesh at a node. Its vertices go by `matrix` (4, 4), or by a matrix a joint (J, 4, 4)."""

    mesh: int
    matrix: np.ndarray
    joints: np.ndarray | None


def find_placements(file: GltfFile) -> list[Placement]:
    """Return the visible meshes of the default scene, or of all nodes where there is no scene."""
    nodes = file.items("nodes")
    parents = {child: i for i, node in enumerate(nodes) for child in node.get("children", [])}

    @cache
    def matrix_of(i: int) -> np.ndarray:
        above = matrix_of(parents[i]) if i in parents else np.eye(4)
        return above @ _local_matrix(nodes[i])

    roots = [i for i in range(len(nodes)) if i not in parents]
    if file.items("scenes"):
        roots = file.items("scenes")[file.json.get("scene", 0)].get("nodes", [])
    placements = []
    for i in _walk_visible(nodes, roots):
        if "mesh" in nodes[i]:
            skin = nodes[i].get("skin")
            joints = None if skin is None else _joint_matrices(file, skin, matrix_of)
            placements.append(Placement(nodes[i]["mesh"], matrix_of(i), joints))
    return placements


def _walk_visible(nodes: list[dict], roots: list[int]) -> Iterator[int]:
    """Yield the visible nodes at and under the roots, in the order of the tree."""
    for i in roots:
        visibility = nodes[i].get("extensions", {}).get("KHR_node_visibility", {})
        if visibility.get("visible", True):
            yield i
            yield from _walk_visible(nodes, nodes[i].get("children", []))


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


def _joint_matrices(file: GltfFile, i: int, matrix_of: Callable) -> np.ndarray:
    """Return the matrices (J, 4, 4) of a skin's joints, which can be outside of the scene."""
    skin = file.items("skins")[i]
    joints = np.stack([matrix_of(joint) for joint in skin["joints"]])
    if "inverseBindMatrices" in skin:
        inverse = file.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = joints @ inverse[: len(joints)]
    return joints

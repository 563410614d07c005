"""Blender objects as triangles with the flat colors of their materials."""

import numpy as np
import trimesh

from data.builder.mesh import linear_to_srgb

UNKNOWN_COLOR = (0.5, 0.5, 0.5)  # linear, such as the mean of a noise texture


def object_to_mesh(root) -> trimesh.Trimesh:
    """Return a Blender object and its children as one mesh with sRGB vertex colors."""
    import bpy  # only Infinigen's environment has it

    graph = bpy.context.evaluated_depsgraph_get()
    parts = [item.evaluated_get(graph) for item in (root, *root.children_recursive)]
    return trimesh.util.concatenate([_triangles(item) for item in parts if item.type == "MESH"])


def _triangles(item) -> trimesh.Trimesh:
    """The triangles of a Blender object, with a copy of a vertex for each material around it."""
    mesh = item.to_mesh()
    mesh.calc_loop_triangles()
    vertices = _read(mesh.vertices, "co", 3, np.float32)  # (N, 3)
    faces = _read(mesh.loop_triangles, "vertices", 3, np.int32)  # (M, 3)
    materials = _read(mesh.loop_triangles, "material_index", 1, np.int32)  # (M, 1)
    colors = np.array([material_color(slot) for slot in mesh.materials] or [UNKNOWN_COLOR])
    materials = np.minimum(materials, len(colors) - 1)
    copies, faces = np.unique(faces * len(colors) + materials, return_inverse=True)
    triangles = trimesh.Trimesh(
        vertices=vertices[copies // len(colors)],
        faces=faces.reshape(-1, 3),
        vertex_colors=linear_to_srgb(colors[copies % len(colors)]),
        process=False,
    )
    return triangles.apply_transform(np.array(item.matrix_world))


def _read(items, attribute: str, size: int, dtype) -> np.ndarray:
    values = np.empty(len(items) * size, dtype)
    items.foreach_get(attribute, values)
    return values.reshape(-1, size)


def material_color(material) -> np.ndarray:
    """Return the mean base color (3,) of a Blender material, linear."""
    output = material and material.use_nodes and material.node_tree.get_output_node("ALL")
    return mean_color(output.inputs["Surface"]) if output else np.array(UNKNOWN_COLOR)


def mean_color(socket, groups: tuple = ()) -> np.ndarray:
    """Estimate the mean (3,) of an input of a shader node by the nodes that lead to it.

    `groups` are the node groups around the node, outermost first.
    """
    if not socket.is_linked:
        return _three(getattr(socket, "default_value", UNKNOWN_COLOR))
    node, source = socket.links[0].from_node, socket.links[0].from_socket
    inputs = [item for item in node.inputs if item.enabled]
    match node.type:
        case "RGB" | "VALUE":
            return _three(source.default_value)
        case "COMBINE_COLOR" if node.mode == "RGB":
            return np.array([mean_color(item, groups)[0] for item in inputs])
        case "VALTORGB":
            return np.mean([node.color_ramp.evaluate(x) for x in np.linspace(0, 1, 33)], 0)[:3]
        case "GROUP":
            inside = next(item for item in node.node_tree.nodes if item.type == "GROUP_OUTPUT")
            return mean_color(_same(source, inside.inputs), (*groups, node))
        case "GROUP_INPUT":
            return mean_color(_same(source, groups[-1].inputs), groups[:-1])
        case "BSDF_PRINCIPLED":
            return mean_color(node.inputs["Base Color"], groups)
        case "MIX" | "MIX_RGB" | "MIX_SHADER":
            factor, first, second = (mean_color(item, groups) for item in inputs[:3])
            return first + np.clip(factor, 0, 1) * (second - first)
    colors = [item for item in inputs if item.type in ("RGBA", "SHADER")]
    return np.mean([mean_color(item, groups) for item in colors] or [UNKNOWN_COLOR], axis=0)


def _three(value) -> np.ndarray:
    return np.resize(np.atleast_1d(value)[:3], 3)


def _same(socket, sockets):
    return next(item for item in sockets if item.identifier == socket.identifier)

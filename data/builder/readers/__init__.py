"""Read mesh files of several formats with their materials."""

import io
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from data.builder.mesh import GRAY, Mesh, Texture, concatenate, make_mesh
from data.builder.readers.assets import MAX_FILE_BYTES, Assets, FolderAssets
from data.builder.readers.images import to_texture
from utils.errors import InputError
from utils.files import read_bytes

MAX_FACES = 600_000  # take a gigabyte of memory
MAX_UV = 1e6  # float32 has no fraction beyond it
FORMATS = ("obj", "off", "ply", "stl", "glb", "gltf")


def load_mesh(path: str | Path) -> Mesh:
    """Read a mesh file with its materials. Raises InputError when it cannot be used."""
    path = Path(path)
    content = read_bytes(path, MAX_FILE_BYTES)
    return parse_mesh(content, path.suffix[1:].lower(), FolderAssets(path.parent))


def parse_mesh(content: bytes, kind: str, assets: Assets) -> Mesh:
    """Read the bytes of a mesh file of one of FORMATS.

    Raises InputError when it is damaged, or has no triangle or more than 600,000.
    """
    try:
        scene = trimesh.load_scene(
            io.BytesIO(content), file_type=kind, resolver=assets, process=False
        )
        _check_size(scene)
        for mesh in scene.geometry.values():
            if isinstance(getattr(mesh, "visual", None), trimesh.visual.TextureVisuals):
                mesh.visual.material = _reduce(mesh.visual.material)  # before it is copied
        meshes = [mesh for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh)]
        linear = kind in ("glb", "gltf")
        return concatenate([_from_trimesh(mesh, linear) for mesh in meshes if len(mesh.faces)])
    except InputError:
        raise
    except Exception as error:  # a damaged file can break a parser in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"cannot be read as {kind}: {reason}") from error


def _check_size(scene: trimesh.Scene) -> None:
    """Raise InputError for a scene that is too large to be copied, each mesh to all its places."""
    names = [scene.graph[node][1] for node in scene.graph.nodes_geometry]
    meshes = [scene.geometry[name] for name in names]
    num_faces = sum(len(mesh.faces) for mesh in meshes if isinstance(mesh, trimesh.Trimesh))
    if num_faces > MAX_FACES:
        raise InputError(f"expected at most {MAX_FACES} triangles, got {num_faces}")


def _from_trimesh(mesh: trimesh.Trimesh, linear: bool) -> Mesh:
    faces, visual = mesh.faces, mesh.visual
    uv, texture = None, None
    if isinstance(visual, trimesh.visual.TextureVisuals):
        colors, image = _material(visual.material)
        if visual.uv is not None and image is not None:
            uv = np.clip(np.nan_to_num(visual.uv), -MAX_UV, MAX_UV)[faces]
            texture = Texture(np.asarray(image))
            if not isinstance(visual.material, PBRMaterial):
                colors = [255] * 4  # in an OBJ a texture replaces the color
    elif visual.kind == "vertex":
        colors = visual.vertex_colors[faces]
    elif visual.kind == "face":
        colors = np.repeat(visual.face_colors[:, None], 3, axis=1)
    else:
        colors, linear = GRAY, False
    if linear:
        colors = to_srgb(colors)
    normals = None
    if "vertex_normals" in mesh._cache:  # where trimesh keeps the normals that a file gave
        normals = np.nan_to_num(mesh.vertex_normals[faces])
    return make_mesh(mesh.triangles, colors, normals, uv, texture)


def _reduce(material):
    """Return a material's color and a small texture alone."""
    color, image = _material(material)
    image = image and Image.fromarray(to_texture(image))
    if isinstance(material, PBRMaterial):
        return PBRMaterial(baseColorFactor=color, baseColorTexture=image)
    return SimpleMaterial(diffuse=color, image=image)


def _material(material) -> tuple:
    """Return a material's RGBA and image."""
    if isinstance(material, PBRMaterial):
        color = material.baseColorFactor
        return [255] * 4 if color is None else color, material.baseColorTexture
    return material.diffuse, material.image


def to_srgb(linear) -> np.ndarray:
    """Encode linear RGBA colors (..., 4), uint8, as sRGB; alpha is kept."""
    value = np.asarray(linear) / 255
    encoded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    encoded[..., 3] = value[..., 3]
    return np.rint(255 * encoded).astype(np.uint8)

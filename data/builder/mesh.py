"""Meshes of any origin as one kind of object: triangles with normals, colors and textures."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from data.builder.assets import LARGEST_FILE, Assets, FolderAssets
from utils.errors import InputError
from utils.files import read_bytes

GRAY = (204, 204, 204, 255)  # what has no material, as in Blender
SMOOTH = np.radians(40)  # neighbors that meet at less are shaded as one curved surface
TEXTURE_SIDE = 512  # pixels; a view of 137 shows no more
LARGEST_MESH = 600_000  # triangles; as many take a gigabyte of memory
FARTHEST = 1e12  # the largest coordinate
LARGEST_TEXTURE = 8192**2  # pixels; beyond it the picture is more likely an attack than a texture
UV_LIMIT = 1e6  # repeats of a texture; beyond it float32 has no fraction left
AXES = ("x", "y", "z", "-x", "-y", "-z")


@dataclass(frozen=True)
class Mesh:
    """Triangles with what is needed to draw them.

    triangles: corner positions (F, 3, 3). normals: (F, 3, 3), not necessarily of unit length.
    colors: (F, 3, 4) RGBA of 0 to 255. uv: (F, 3, 2), v pointing up. texture: (F,) the index of
    each face's picture in textures, -1 where it has none. textures: RGBA pictures (H, W, 4) of 0
    to 255, which take the place of the color or, where `colors` is not white, are tinted by it.
    """

    triangles: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    textures: list[np.ndarray]

    @property
    def bounds(self) -> np.ndarray:
        """The lower and the upper corner (2, 3) of the bounding box."""
        corners = self.triangles.reshape(-1, 3)
        return np.stack([corners.min(0), corners.max(0)])


def concatenate(meshes: list[trimesh.Trimesh], *, linear: bool = False) -> Mesh:
    """One surface from meshes with their materials, whose colors may be linear, as glTF's are.

    A mesh without normals of its own gets smooth ones across edges of less than 40 degrees.
    Raises InputError when there is no triangle, or a coordinate that is huge or no number.
    """
    meshes = [mesh for mesh in meshes if len(mesh.faces)]
    if not meshes:
        raise InputError("expected triangles, found none")
    if not all(np.abs(mesh.triangles).max() < FARTHEST for mesh in meshes):
        raise InputError(f"expected coordinates below {FARTHEST:g}, found larger ones or none")
    parts = [_part(mesh, linear) for mesh in meshes]
    places: dict[tuple, int] = {}  # of each picture in the surface's list, by its content
    for part in parts:
        for picture in part.textures:
            part.texture[:] = places.setdefault((picture.shape, picture.tobytes()), len(places))
    return Mesh(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("triangles", "normals", "colors", "uv", "texture")
        ),
        [np.frombuffer(content, np.uint8).reshape(shape) for shape, content in places],
    )


def _part(mesh: trimesh.Trimesh, linear: bool) -> Mesh:
    """A surface of one mesh, and so of at most one texture."""
    faces = mesh.faces
    count = len(faces)
    uv, texture, textures = np.zeros((count, 3, 2)), np.full(count, -1), []
    visual = mesh.visual
    if isinstance(visual, trimesh.visual.TextureVisuals):
        picture = None if visual.uv is None else _picture(_reduced(visual.material))
        color = _colour(visual.material, picture is not None)
        colors = np.broadcast_to(color, (count, 3, 4))
        if picture is not None:
            uv = np.clip(np.nan_to_num(visual.uv), -UV_LIMIT, UV_LIMIT)[faces]
            texture, textures = np.zeros(count, int), [picture]
    elif visual.kind == "vertex":
        colors = visual.vertex_colors[faces]
    elif visual.kind == "face":
        colors = np.repeat(visual.face_colors[:, None], 3, axis=1)
    else:
        colors, linear = np.broadcast_to(np.uint8(GRAY), (count, 3, 4)), False
    if linear:  # a texture is sRGB already
        colors = srgb(colors)
    if "vertex_normals" in mesh._cache:  # where trimesh keeps the normals that a file gave
        normals = mesh.vertex_normals[faces]
    else:
        normals = smooth_normals(mesh.triangles)
    return Mesh(mesh.triangles, np.nan_to_num(normals), colors, uv, texture, textures)


def srgb(linear: np.ndarray) -> np.ndarray:
    """Encode linear RGBA colors (..., 4), uint8, as sRGB; alpha is kept."""
    value = linear / 255
    encoded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    encoded[..., 3] = value[..., 3]
    return np.rint(255 * encoded).astype(np.uint8)


def _colour(material, textured: bool) -> np.ndarray:
    """A material's RGBA. In an OBJ a picture replaces the color, in a glTF it is tinted by it."""
    if isinstance(material, PBRMaterial):
        color = material.baseColorFactor
        return np.uint8([255] * 4 if color is None else color)
    if textured:
        return np.uint8([255] * 4)
    return np.uint8(material.diffuse)


def _picture(material) -> np.ndarray | None:
    """A reduced material's texture (H, W, 4)."""
    image = material.baseColorTexture if isinstance(material, PBRMaterial) else material.image
    return image and np.asarray(image)


def _reduced(material):
    """A material's color and texture alone."""
    if isinstance(material, PBRMaterial):
        texture = _small(material.baseColorTexture)
        return PBRMaterial(baseColorFactor=material.baseColorFactor, baseColorTexture=texture)
    return SimpleMaterial(diffuse=material.diffuse, image=_small(material.image))


def _small(image: Image.Image | None) -> Image.Image | None:
    """A texture as RGBA, no larger than a small view can show."""
    if image is None:
        return None
    if image.format == "EPS":  # its reader starts a program
        raise InputError("expected textures that are pictures, found EPS")
    if image.width * image.height > LARGEST_TEXTURE:
        found = f"{image.width}x{image.height}"
        raise InputError(f"expected textures of at most {LARGEST_TEXTURE} pixels, found {found}")
    if image.mode == "RGBA" and max(image.size) <= TEXTURE_SIDE:
        return image
    image = image.copy() if image.mode == "RGB" else image.convert("RGBA")
    image.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
    return image.convert("RGBA")


def smooth_normals(triangles: np.ndarray) -> np.ndarray:
    """Corner normals (F, 3, 3) of triangles (F, 3, 3).

    Faces that meet in an edge at less than 40 degrees share the normals of its ends; sharper edges
    stay sharp.
    """
    flat = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    points = _merged_points(triangles)
    count = points.max() + 1
    following = np.roll(points, -1, axis=1)
    edges = (np.minimum(points, following) * count + np.maximum(points, following)).ravel()
    order = np.argsort(edges, kind="stable")
    same = edges[order[1:]] == edges[order[:-1]]
    left, right = order[:-1][same] // 3, order[1:][same] // 3  # faces that share an edge
    smooth = np.einsum("nc,nc->n", unit[left], unit[right]) > np.cos(SMOOTH)
    left, right = left[smooth], right[smooth]
    links = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(points),) * 2)
    patch = connected_components(links, directed=False)[1]
    shared = patch[:, None] * count + points  # a point within one patch is one corner
    corner = np.unique(shared, return_inverse=True)[1].reshape(-1)
    sums = [np.bincount(corner, np.repeat(axis, 3)) for axis in flat.T]
    return np.stack(sums, axis=1)[corner].reshape(-1, 3, 3)


def _merged_points(triangles: np.ndarray) -> np.ndarray:
    """A number for each corner (F, 3), the same for corners in the same place.

    The same is within a millionth of the mesh's size.
    """
    corners = triangles.reshape(-1, 3) - triangles.min(axis=(0, 1))
    x, y, z = np.rint(corners * (1e6 / max(corners.max(), 1e-30))).astype(np.int64).T
    return np.unique((x << 40) | (y << 20) | z, return_inverse=True)[1].reshape(-1, 3)


def load_mesh(path: str | Path) -> Mesh:
    """Read a mesh file with its materials. Raises InputError when it cannot be used."""
    path = Path(path)
    return parse_mesh(
        read_bytes(path, LARGEST_FILE), path.suffix[1:].lower(), FolderAssets(path.parent)
    )


def parse_mesh(content: bytes, kind: str, assets: Assets) -> Mesh:
    """A surface from the bytes of a mesh file of a kind like "obj", with its materials.

    Raises InputError when it cannot be read, or has no triangle or more than 600,000.
    """
    try:
        scene = trimesh.load_scene(
            io.BytesIO(content), file_type=kind, resolver=assets, process=False
        )
        _check_size(scene)
        for mesh in scene.geometry.values():
            if isinstance(getattr(mesh, "visual", None), trimesh.visual.TextureVisuals):
                mesh.visual.material = _reduced(mesh.visual.material)  # before it is copied
        found = [mesh for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh)]
        return concatenate(found, linear=kind in ("glb", "gltf"))
    except InputError:
        raise
    except Exception as error:  # a broken file can break a parser in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"cannot be read as {kind}: {reason}") from error


def _check_size(scene: trimesh.Scene) -> None:
    """Raise InputError for a scene that is too large to be copied, each mesh to all its places."""
    names = [scene.graph[node][1] for node in scene.graph.nodes_geometry]
    meshes = [scene.geometry[name] for name in names]
    count = sum(len(mesh.faces) for mesh in meshes if isinstance(mesh, trimesh.Trimesh))
    if count > LARGEST_MESH:
        raise InputError(f"expected at most {LARGEST_MESH} triangles, found {count}")


def rotation(up: str, front: str) -> np.ndarray:
    """The rotation (3, 3) from a frame whose up and front are named axes to the official one.

    Raises InputError when the two axes are not perpendicular.
    """
    upward, forward = _axis(up), _axis(front)
    if upward @ forward:
        raise InputError(f"expected up and front to be different axes, found {up} and {front}")
    return np.stack([forward, upward, np.cross(forward, upward)])


def _axis(name: str) -> np.ndarray:
    vector = np.zeros(3)
    vector["xyz".index(name[-1])] = -1 if name[0] == "-" else 1
    return vector


def transformed(surface: Mesh, matrix: np.ndarray) -> Mesh:
    """A surface under a linear map (3, 3); its normals go by the inverse transpose."""
    return replace(
        surface,
        triangles=surface.triangles @ matrix.T,
        normals=surface.normals @ np.linalg.inv(matrix),
    )


def normalized(surface: Mesh) -> Mesh:
    """A surface whose bounding box is centered at the origin and has a diagonal of 1.

    Raises InputError for a surface without extent.
    """
    lower, upper = surface.bounds
    diagonal = np.linalg.norm(upper - lower)
    if diagonal == 0:
        raise InputError("expected a mesh with an extent, found a point")
    return replace(surface, triangles=(surface.triangles - (lower + upper) / 2) / diagonal)

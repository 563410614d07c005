"""Triangle meshes with normals, colors and textures, whatever file they come from."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from utils.errors import InputError

GRAY = (204, 204, 204, 255)  # Blender's default material
SMOOTH_ANGLE = np.radians(40)  # faces that meet at a smaller angle are shaded as one surface
MIN_HEIGHT = 1e-7  # a lower triangle has no area; in its longest sides
AXES = {
    "x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1),
    "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1),
}  # fmt: skip


class Texture(NamedTuple):
    """An RGBA image (H, W, 4) uint8, repeated outside [0, 1] along u and v unless clamped."""

    pixels: np.ndarray
    clamp: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Mesh:
    """F triangles with what is needed to draw them.

    triangles: corner positions (F, 3, 3), axes x, y, z.
    normals: (F, 3, 3), of any length; zero where light does not change the color.
    colors: RGBA (F, 3, 4) in [0, 255], which a texture is multiplied with.
    uv: (F, 3, 2), v pointing up.
    texture: (F,) int, each face's index in `textures`, -1 for none.
    """

    triangles: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    textures: list[Texture]

    @property
    def bounds(self) -> np.ndarray:
        """The lower and the upper corner (2, 3) of the bounding box."""
        points = self.triangles.reshape(-1, 3)
        return np.stack([points.min(0), points.max(0)])


def make_mesh(triangles, colors=GRAY, normals=None, uv=None, texture: Texture | None = None):
    """Return a mesh of one material.

    Args:
        triangles: Corner positions (F, 3, 3).
        colors: RGBA in [0, 255], one (4,) or one a corner (F, 3, 4).
        normals: (F, 3, 3); smooth ones across edges of less than 40 degrees by default.
        uv: (F, 3, 2), v pointing up. Without it, the texture is left out.
        texture: Image that the colors are multiplied with.

    Raises InputError when a coordinate is not finite.
    """
    if not np.isfinite(triangles).all():
        raise InputError("expected finite coordinates, got infinity or no number")
    num_faces = len(triangles)
    textured = uv is not None and texture is not None
    if normals is None:
        normals = smooth_normals(triangles)
    else:
        length = np.linalg.norm(normals, axis=2, keepdims=True)
        valid = np.isfinite(length) & (length > 0)
        normals = normals / np.where(valid, length, 1)
        if not valid.all():
            normals = np.where(valid, normals, smooth_normals(triangles))
    return Mesh(
        triangles,
        normals,
        np.broadcast_to(np.asarray(colors, np.uint8), (num_faces, 3, 4)),
        np.nan_to_num(uv, posinf=0, neginf=0) if textured else np.zeros((num_faces, 3, 2)),
        np.full(num_faces, 0 if textured else -1),
        [texture] if textured else [],
    )


def concatenate(meshes: list[Mesh]) -> Mesh:
    """Join meshes to one that holds equal textures once.

    Raises InputError when there is no triangle.
    """
    meshes = [mesh for mesh in meshes if len(mesh.triangles)]
    if not meshes:
        raise InputError("expected triangles, found none")
    textures: dict[tuple, Texture] = {}
    indices = []
    for mesh in meshes:
        keys = [(t.clamp, t.pixels.shape, t.pixels.tobytes()) for t in mesh.textures]
        for key, texture in zip(keys, mesh.textures, strict=True):
            textures.setdefault(key, texture)
        positions = {key: i for i, key in enumerate(textures)}
        indices.append(np.array([*(positions[key] for key in keys), -1])[mesh.texture])
    names = ("triangles", "normals", "colors", "uv")
    arrays = [np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in names]
    return Mesh(*arrays, np.concatenate(indices), list(textures.values()))


def select(mesh: Mesh, faces: np.ndarray) -> Mesh:
    """Return the faces of a mesh at indices, or where a mask (F,) is true."""
    names = ("triangles", "normals", "colors", "uv", "texture")
    return replace(mesh, **{name: getattr(mesh, name)[faces] for name in names})


def drop_degenerate(mesh: Mesh) -> Mesh:
    """Leave out faces without an area: they cannot be seen, but could be far from all others.

    Raises InputError when no face is left.
    """
    edges = np.roll(mesh.triangles, -1, axis=1) - mesh.triangles
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    longest = np.linalg.norm(edges, axis=2).max(axis=1)
    has_area = area > MIN_HEIGHT * longest**2
    if not has_area.any():
        raise InputError("expected triangles with an area, found none")
    return select(mesh, has_area)


def smooth_normals(triangles: np.ndarray) -> np.ndarray:
    """Return corner normals (F, 3, 3) of triangles (F, 3, 3).

    Faces that meet in an edge at less than 40 degrees share the normals of its ends; sharper edges
    stay sharp.
    """
    if not len(triangles):
        return triangles
    flat = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    points = _merge_points(triangles)
    num_points = points.max() + 1
    following = np.roll(points, -1, axis=1)
    edges = (np.minimum(points, following) * num_points + np.maximum(points, following)).ravel()
    order = np.argsort(edges, kind="stable")
    same = edges[order[1:]] == edges[order[:-1]]
    left, right = order[:-1][same] // 3, order[1:][same] // 3  # faces that share an edge
    smooth = np.einsum("nc,nc->n", unit[left], unit[right]) > np.cos(SMOOTH_ANGLE)
    left, right = left[smooth], right[smooth]
    links = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(points),) * 2)
    patch = connected_components(links, directed=False)[1]
    keys = patch[:, None] * num_points + points  # a point has one normal in each patch
    corner = np.unique(keys, return_inverse=True)[1].reshape(-1)
    sums = [np.bincount(corner, np.repeat(axis, 3)) for axis in flat.T]
    return np.stack(sums, axis=1)[corner].reshape(-1, 3, 3)


def _merge_points(triangles: np.ndarray) -> np.ndarray:
    """Number the corners (F, 3), those within a millionth of the mesh's size alike."""
    corners = triangles.reshape(-1, 3) - triangles.min(axis=(0, 1))
    x, y, z = np.rint(corners * (1e6 / max(corners.max(), 1e-30))).astype(np.int64).T
    return np.unique((x << 40) | (y << 20) | z, return_inverse=True)[1].reshape(-1, 3)


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Decode sRGB colors (..., 4) uint8 to [0, 1]; alpha is kept."""
    srgb = srgb / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    linear[..., 3] = srgb[..., 3]
    return linear


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Encode linear colors (..., 3 or 4) in [0, 1] as sRGB, uint8; alpha is kept."""
    linear = np.clip(linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    srgb[..., 3:] = linear[..., 3:]
    return np.rint(255 * srgb).astype(np.uint8)


def rotation(up: str, front: str) -> np.ndarray:
    """Return the rotation (3, 3) that turns the named axes to +y (up) and +x (front).

    Raises InputError when the two axes are not perpendicular.
    """
    upward, forward = np.array([AXES[up], AXES[front]], float)
    if upward @ forward:
        raise InputError(f"--up and --front: expected different axes, got {up} and {front}")
    return np.stack([forward, upward, np.cross(forward, upward)])


def transform(mesh: Mesh, matrix: np.ndarray) -> Mesh:
    """Apply a linear map (3, 3); the normals go by its inverse transpose."""
    return replace(
        mesh,
        triangles=mesh.triangles @ matrix.T,
        normals=mesh.normals @ np.linalg.inv(matrix),
    )


def normalize(mesh: Mesh) -> Mesh:
    """Center the bounding box at the origin and scale its diagonal to 1."""
    lower, upper = mesh.bounds
    diagonal = np.linalg.norm(upper - lower)
    return replace(mesh, triangles=(mesh.triangles - (lower + upper) / 2) / diagonal)

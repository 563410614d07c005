"""Ray-cast views of a mesh, lit as 3D-R2N2's renderings are."""

import itertools
from importlib.util import find_spec

import numpy as np

from data.builder.mesh import Mesh, Texture
from data.cameras import View, camera_position, project, ray_directions
from data.layout import RENDERING_SIZE
from utils.errors import InputError

SAMPLES = 3  # rays a pixel side
FILTER = np.float32([1, 2, 3, 2, 1]) / 9  # reaches one ray beyond the pixel on each side
MAX_LAYERS = 16  # transparent surfaces that a ray passes
MIN_LIGHT = 1 / 255  # what less light than this would add is not visible
LAMPS = np.array([[0.0, 2.0, -2.0], [0.0, 2.0, 2.0]]) / np.sqrt(8)  # hemisphere lights
ENERGY = 0.7  # of each lamp
DIFFUSE = 0.8  # Blender's default diffuse intensity
SPECULAR = 0.1 * 255  # white added by gloss: the mean over the official chair


def require_embreex() -> None:
    """Raise InputError where embreex, which nothing but building needs, is missing."""
    if find_spec("embreex") is None:
        raise InputError(
            "embreex: not installed; `pip install embreex`, or build the dataset on another "
            "system if PyPI has no wheel for this one"
        )


class Rays:
    """Triangles (F, 3, 3) that rays can be cast at."""

    def __init__(self, triangles: np.ndarray):
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.scene = EmbreeScene()
        TriangleMesh(self.scene, np.ascontiguousarray(triangles, np.float32))

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> dict[str, np.ndarray]:
        """Find the first hit of each ray (N, 3).

        Returns Embree's arrays (N, ...): primID, the face or -1; tfar, the distance in lengths of
        the direction; u and v, the weights of the face's second and third corner; Ng, its normal.
        """
        return self.scene.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            output=True,
        )


def render(mesh: Mesh, views: list[View], size: int = RENDERING_SIZE) -> np.ndarray:
    """Render a normalized mesh.

    Returns images (V, size, size, 4) uint8, RGB with straight alpha. A pixel is a weighted mean of
    5x5 rays; where none hits, all four channels are 0.
    """
    rays = Rays(mesh.triangles)
    attributes = np.concatenate(
        [mesh.normals, mesh.colors, mesh.uv], axis=2, dtype=np.float32
    )  # (F, 3, 9)
    return np.stack([_render_view(mesh, attributes, rays, view, size) for view in views])


def _render_view(mesh, attributes, rays: Rays, view: View, size: int) -> np.ndarray:
    left, top, right, bottom = _bounding_box(mesh, view, size)
    columns, rows = _sample_positions(left, right), _sample_positions(top, bottom)
    directions = ray_directions(view, columns, rows[:, None], size).reshape(-1, 3)
    origin = np.float32(camera_position(view))
    samples = _trace(mesh, attributes, rays, origin, directions)
    samples = samples.reshape(len(rows), len(columns), 4)
    pixels = _downsample(_downsample(samples, 0), 1)
    covered = pixels[..., 3] >= 0.5
    pixels[covered, :3] *= 255 / pixels[covered, 3:]
    pixels[~covered] = 0
    image = np.zeros((size, size, 4), np.uint8)
    image[top:bottom, left:right] = np.rint(pixels)
    return image


def _bounding_box(mesh: Mesh, view: View, size: int) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom of the pixels that a mesh can cover."""
    corners = np.array(list(itertools.product(*mesh.bounds.T)))
    projected = project(view, corners, size)
    first = np.clip(np.floor(projected.min(axis=0)) - 1, 0, size).astype(int)
    last = np.clip(np.ceil(projected.max(axis=0)) + 1, 0, size).astype(int)
    return *first, *last


def _sample_positions(first: int, last: int) -> np.ndarray:
    """Return where to sample the pixels [first, last), in pixels, with the filter's margin."""
    return (np.arange(first * SAMPLES - 1, last * SAMPLES + 1, dtype=np.float32) + 0.5) / SAMPLES


def _downsample(samples: np.ndarray, axis: int) -> np.ndarray:
    """Filter samples to pixels along an axis."""
    num_pixels = (samples.shape[axis] - 2) // SAMPLES
    samples = np.moveaxis(samples, axis, 0)
    pixels = sum(
        weight * samples[i : i + num_pixels * SAMPLES : SAMPLES] for i, weight in enumerate(FILTER)
    )
    return np.moveaxis(pixels, 0, axis)


def _trace(mesh, attributes, rays: Rays, origin, directions) -> np.ndarray:
    """Return the colors of rays (N, 3), RGBA (N, 4) in [0, 255], RGB premultiplied with alpha.

    A ray goes on behind a transparent surface, as glass or a texture of leaves.
    """
    samples = np.zeros((len(directions), 4), np.float32)
    light = np.ones(len(directions), np.float32)  # that comes through from behind
    ray, origins = np.arange(len(directions)), np.broadcast_to(origin, directions.shape)
    for _ in range(MAX_LAYERS):
        hits = rays.cast(origins, directions)
        found = np.flatnonzero(hits["primID"] >= 0)
        hits = {name: hits[name][found] for name in ("primID", "u", "v", "Ng", "tfar")}
        ray, directions, light = ray[found], directions[found], light[found]
        colors = _shade(mesh, attributes, hits, directions)
        samples[ray] += light[:, None] * colors
        light = light * (1 - colors[:, 3] / np.float32(255))
        behind = light > MIN_LIGHT
        if not behind.any():
            break
        ray, directions, light = ray[behind], directions[behind], light[behind]
        distances = hits["tfar"][behind, None] + np.float32(1e-5)
        origins = origins[found[behind]] + directions * distances
    return samples


def _shade(mesh: Mesh, attributes, hits, directions) -> np.ndarray:
    """Return the colors (N, 4) where rays (N, 3) hit, as `_trace` does."""
    face, u, v = hits["primID"], hits["u"][:, None], hits["v"][:, None]
    corners = attributes[face]  # (N, 3, 9)
    values = (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2]  # (N, 9)
    normals, colors, uv = values[:, :3], values[:, 3:7], values[:, 7:]
    facing = -np.sign(_dot(hits["Ng"], directions)) * np.sign(_dot(normals, hits["Ng"]))
    length = np.sqrt(_dot(normals, normals))
    scale = facing / np.maximum(length, 1e-12)
    # Two hemisphere lights equal one in their mean direction.
    light = ENERGY * DIFFUSE * (1 + scale * (normals @ np.float32(LAMPS.mean(axis=0))))
    is_lit = length > 0
    light, gloss = np.where(is_lit, light, 1), np.where(is_lit, np.float32(SPECULAR), 0)
    texture = mesh.texture[face]
    for i in range(len(mesh.textures)):
        where = np.flatnonzero(texture == i)
        colors[where] *= _sample_texture(mesh.textures[i], uv[where]) / np.float32(255)
    rgb, alpha = colors[:, :3], np.rint(colors[:, 3])  # rounded, so that opaque is exactly 255
    colors[:, :3] = np.minimum(rgb * light[:, None] + gloss[:, None], 255)
    colors[:, :3] *= (alpha / np.float32(255))[:, None]
    colors[:, 3] = alpha
    return colors


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nc,nc->n", a, b)


def _sample_texture(texture: Texture, uv: np.ndarray) -> np.ndarray:
    """Return the nearest texels (N, 4) uint8 of positions (N, 2)."""
    height, width = texture.pixels.shape[:2]
    u, v = np.where(texture.clamp, np.clip(uv, 0, 1), uv % 1).T
    column = np.minimum((u * width).astype(int), width - 1)
    row = np.minimum(((1 - v) * height).astype(int), height - 1)
    return texture.pixels[row, column]

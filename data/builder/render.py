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
LAMP = 0.5**0.5  # length of a hemisphere light above, which equals two at (0, 2, -2), (0, 2, 2)
ENERGY = 0.7  # each lamp's
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
    surface = _Surface(mesh)
    return np.stack([_render_view(surface, view, size) for view in views])


def _render_view(surface: "_Surface", view: View, size: int) -> np.ndarray:
    left, top, right, bottom = _bounding_box(surface.mesh, view, size)
    columns, rows = _sample_positions(left, right), _sample_positions(top, bottom)
    directions = ray_directions(view, columns, rows[:, None], size).reshape(-1, 3)
    origins = np.broadcast_to(np.float32(camera_position(view)), directions.shape)
    samples = surface.trace(origins, directions).reshape(4, len(rows), len(columns))
    pixels = _downsample(_downsample(samples, 1), 2)
    covered = pixels[3] >= 0.5
    pixels[:3, covered] *= 255 / pixels[3, covered]
    pixels[:, ~covered] = 0
    image = np.zeros((size, size, 4), np.uint8)
    image[top:bottom, left:right] = np.rint(pixels).transpose(1, 2, 0)
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


class _Surface:
    """A mesh with its attributes as float32 tables, (C, 3 corners, F): NumPy's fastest layout."""

    def __init__(self, mesh: Mesh):
        self.mesh, self.rays = mesh, Rays(mesh.triangles)
        self.normals, self.colors, self.uv = (
            np.ascontiguousarray(values.transpose(2, 1, 0), np.float32)
            for values in (mesh.normals, mesh.colors, mesh.uv)
        )

    def trace(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the colors of rays (N, 3), RGBA (4, N) in [0, 255], RGB premultiplied with alpha.

        A ray goes on behind a transparent surface, as glass or a texture of leaves.
        """
        samples = np.zeros((4, len(directions)), np.float32)
        ray = np.arange(len(directions))
        light = np.ones(len(ray), np.float32)  # that comes from behind
        for _ in range(MAX_LAYERS):
            hits = self.rays.cast(origins, directions)
            found = np.flatnonzero(hits["primID"] >= 0)
            hits = {name: hits[name].take(found, 0) for name in ("primID", "u", "v", "Ng", "tfar")}
            ray, directions, light = ray[found], directions.take(found, 0), light[found]
            colors = self.shade(hits, directions)
            for channel, color in zip(samples, colors, strict=True):
                channel[ray] += light * color
            light = light * (1 - colors[3] / np.float32(255))
            behind = light > MIN_LIGHT
            if not behind.any():
                break
            ray, directions, light = ray[behind], directions[behind], light[behind]
            distances = hits["tfar"][behind, None] + np.float32(1e-5)
            origins = origins[found[behind]] + directions * distances
        return samples

    def shade(self, hits: dict[str, np.ndarray], directions: np.ndarray) -> np.ndarray:
        """Return the colors (4, N) where rays (N, 3) hit, as `trace` does."""
        face, u, v = hits["primID"], hits["u"], hits["v"]
        weights = np.stack([1 - u - v, u, v])  # (3, N)
        normals = _interpolate(self.normals, face, weights)
        colors = _interpolate(self.colors, face, weights)
        texture = self.mesh.texture[face]
        for i, image in enumerate(self.mesh.textures):
            where = np.flatnonzero(texture == i)
            uv = _interpolate(self.uv, face[where], weights[:, where])
            colors[:, where] *= _sample_texture(image, uv) / np.float32(255)

        front = hits["Ng"].T
        facing = -np.sign(_dot(front, directions.T)) * np.sign(_dot(normals, front))
        length = np.sqrt(_dot(normals, normals))
        scale = facing / np.maximum(length, 1e-12)
        is_lit = length > 0
        light = np.where(is_lit, ENERGY * DIFFUSE * (1 + scale * LAMP * normals[1]), 1)
        gloss = np.where(is_lit, np.float32(SPECULAR), 0)
        colors[3] = np.rint(colors[3])  # opaque is exactly 255
        colors[:3] = np.minimum(colors[:3] * light + gloss, 255) * (colors[3] / np.float32(255))
        return colors


def _interpolate(table: np.ndarray, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the values (C, N) of a table (C, 3, F) at the weights (3, N) of faces' corners."""
    return np.einsum("kn,ckn->cn", weights, np.take(table, face, axis=2))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _sample_texture(texture: Texture, uv: np.ndarray) -> np.ndarray:
    """Return the nearest texels (4, N) uint8 of positions (2, N)."""
    height, width = texture.pixels.shape[:2]
    clamped = zip(uv, texture.clamp, strict=True)
    u, v = (np.clip(value, 0, 1) if clamp else value % 1 for value, clamp in clamped)
    column = np.minimum((u * width).astype(int), width - 1)
    row = np.minimum(((1 - v) * height).astype(int), height - 1)
    return texture.pixels[row, column].T

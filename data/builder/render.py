"""Pictures of a surface, by casting rays, lit as 3D-R2N2's renderings were."""

import itertools

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from data.builder.mesh import Mesh
from data.cameras import View, directions, eye, project
from data.layout import SIZE

SAMPLES = 3  # rays a side of a pixel
FILTER = np.float32([1, 2, 3, 2, 1]) / 9  # a pixel reaches one ray beyond its border on each side
LAYERS = 16  # holes of textures that a ray passes at most
LAMPS = np.array([[0.0, 2.0, -2.0], [0.0, 2.0, 2.0]]) / np.sqrt(8)  # hemispheres of light
ENERGY = 0.7  # of each
DIFFUSE = 0.8  # how much of its color a material gives back, as in Blender
SHEEN = 0.1 * 255  # the white that its gloss adds, in the mean over the official chair's parts


class Rays:
    """Triangles (F, 3, 3) made ready for rays."""

    def __init__(self, triangles: np.ndarray):
        self.scene = EmbreeScene()
        TriangleMesh(self.scene, np.ascontiguousarray(triangles, np.float32))

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> dict[str, np.ndarray]:
        """The first hit of each ray (N, 3).

        Returns Embree's arrays (N, ...): primID, the face or -1; tfar, the distance in lengths of
        the direction; u and v, the weights of the face's second and third corner; Ng, its normal.
        """
        return self.scene.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            output=True,
        )


def render(surface: Mesh, views: list[View], size: int = SIZE) -> np.ndarray:
    """Pictures (V, size, size, 4) of 0 to 255: RGB, not multiplied by the alpha that follows it.

    The surface is normalized. A pixel is a weighted mean of 5x5 rays; where none of them hits, all
    four channels are 0.
    """
    rays = Rays(surface.triangles)
    corners = np.concatenate(
        [surface.normals, surface.colors[..., :3], surface.uv], axis=2, dtype=np.float32
    )
    return np.stack([_picture(surface, corners, rays, view, size) for view in views])


def _picture(surface, corners, rays: Rays, view: View, size: int) -> np.ndarray:
    left, top, right, bottom = _box(surface, view, size)
    columns, rows = _sample_places(left, right), _sample_places(top, bottom)
    towards = directions(view, columns, rows[:, None], size).reshape(-1, 3)
    hit, colors = _trace(surface, corners, rays, np.float32(eye(view)), towards)
    samples = np.zeros((len(towards), 4), np.float32)
    samples[hit, :3], samples[hit, 3] = colors, 255
    samples = samples.reshape(len(rows), len(columns), 4)
    pixels = _filtered(_filtered(samples, 0), 1)
    covered = pixels[..., 3] >= 0.5
    pixels[covered, :3] *= 255 / pixels[covered, 3:]
    pixels[~covered] = 0
    picture = np.zeros((size, size, 4), np.uint8)
    picture[top:bottom, left:right] = np.rint(pixels)
    return picture


def _trace(surface, corners, rays: Rays, origin, towards) -> tuple[np.ndarray, np.ndarray]:
    """Which rays (N, 3) hit something, (M,), and the colors (M, 3) of 0 to 255 that they see.

    A ray goes on behind the holes that a texture has, as in a picture of leaves.
    """
    ray, origins = np.arange(len(towards)), np.broadcast_to(origin, towards.shape)
    hit, colors = [], []
    for _ in range(LAYERS):
        hits = rays.cast(origins, towards)
        met = np.flatnonzero(hits["primID"] >= 0)
        hits = {name: hits[name][met] for name in ("primID", "u", "v", "Ng", "tfar")}
        ray, towards = ray[met], towards[met]
        color, solid = _shade(surface, corners, hits, towards)
        if solid.all():
            return np.concatenate([*hit, ray]), np.concatenate([*colors, color])
        hit.append(ray[solid])
        colors.append(color[solid])
        ray, towards, holes = ray[~solid], towards[~solid], met[~solid]
        origins = origins[holes] + towards * (hits["tfar"][~solid, None] + np.float32(1e-5))
    return np.concatenate(hit), np.concatenate(colors)


def _sample_places(first: int, last: int) -> np.ndarray:
    """Where to sample the pixels first to last (exclusive), with what the filter needs beside."""
    return (np.arange(first * SAMPLES - 1, last * SAMPLES + 1, dtype=np.float32) + 0.5) / SAMPLES


def _filtered(samples: np.ndarray, axis: int) -> np.ndarray:
    """Pixels from samples along one axis."""
    count = (samples.shape[axis] - 2) // SAMPLES
    samples = np.moveaxis(samples, axis, 0)
    pixels = sum(
        weight * samples[start : start + count * SAMPLES : SAMPLES]
        for start, weight in enumerate(FILTER)
    )
    return np.moveaxis(pixels, 0, axis)


def _box(surface: Mesh, view: View, size: int) -> tuple[int, int, int, int]:
    """The left, top, right and bottom of the part of a picture that a surface can be seen in."""
    bounds = np.array(list(itertools.product(*surface.bounds.T)))
    seen = project(view, bounds, size)
    first = np.clip(np.floor(seen.min(axis=0)) - 1, 0, size).astype(int)
    last = np.clip(np.ceil(seen.max(axis=0)) + 1, 0, size).astype(int)
    return *first, *last


def _shade(surface: Mesh, corners, hits, towards) -> tuple[np.ndarray, np.ndarray]:
    """The colors (N, 3) that rays (N, 3) meet, and whether (N,) they are not a texture's hole.

    `corners` (F, 3, 8) are the normal, RGB and UV of each face's corners.
    """
    face, u, v = hits["primID"], hits["u"][:, None], hits["v"][:, None]
    met = corners[face]
    met = (1 - u - v) * met[:, 0] + u * met[:, 1] + v * met[:, 2]  # (N, 8)
    normals, colors, uv = met[:, :3], met[:, 3:6], met[:, 6:]
    facing = -np.sign(_dot(hits["Ng"], towards))  # of the flat face, and of its smooth normal:
    facing *= np.sign(_dot(normals, hits["Ng"]))
    scale = facing / np.maximum(np.sqrt(_dot(normals, normals)), 1e-12)
    # Two hemispheres of light add up to one in their mean direction.
    light = ENERGY * DIFFUSE * (1 + scale * (normals @ np.float32(LAMPS.mean(axis=0))))
    solid = _apply_textures(colors, surface, face, uv)
    return np.minimum(colors * light[:, None] + SHEEN, 255), solid


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nc,nc->n", a, b)


def _apply_textures(colors, surface: Mesh, face, uv) -> np.ndarray:
    """Tint each hit's color (N, 3) by the texture of its face, if it has one.

    Returns whether (N,) the texture is opaque there.
    """
    texture = surface.texture[face]
    solid = np.ones(len(face), bool)
    for index, picture in enumerate(surface.textures):
        where = np.flatnonzero(texture == index)
        height, width = picture.shape[:2]
        place = uv[where] % 1
        column = np.minimum((place[:, 0] * width).astype(int), width - 1)
        row = np.minimum(((1 - place[:, 1]) * height).astype(int), height - 1)
        texels = picture[row, column]
        colors[where] *= texels[:, :3] / np.float32(255)
        solid[where] = texels[:, 3] > 127
    return solid

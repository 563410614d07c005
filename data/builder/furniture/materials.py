"""Colors and small textures that furniture is made of."""

import numpy as np

from data.builder.mesh import Mesh, Texture, make_mesh

WOODS = [
    (196, 150, 98), (150, 100, 58), (104, 66, 40), (222, 190, 146), (70, 48, 36), (168, 92, 60),
]  # fmt: skip
PAINTS = [
    (238, 236, 230), (40, 42, 46), (178, 52, 44), (52, 96, 148), (88, 132, 92), (222, 176, 60),
]  # fmt: skip
CLOTHS = [
    (150, 150, 152), (92, 104, 124), (176, 156, 128), (118, 62, 58), (84, 112, 104), (60, 58, 64),
    (202, 196, 184), (166, 110, 62),
]  # fmt: skip
METALS = [(172, 174, 178), (90, 92, 96), (54, 54, 58), (190, 162, 104)]
BLACK, SCREEN, GLASS, PAPER = (30, 30, 33), (42, 48, 60), (176, 200, 206), (244, 236, 214)
TEXTURE_SIZE = 128  # pixels
TEXTURE_WIDTH = 0.5  # meters

Material = tuple | Texture  # an RGB color, or a texture


def plain(color, rng: np.random.Generator, spread: float = 14) -> Material:
    """Sample a color close to the given one."""
    rgb = np.clip(np.array(color) + rng.normal(0, spread, 3) * [1, 0.8, 0.8], 0, 255)
    return tuple(rgb.astype(int).tolist())


def paint(rng: np.random.Generator) -> Material:
    return plain(PAINTS[rng.integers(len(PAINTS))], rng)


def metal(rng: np.random.Generator) -> Material:
    return plain(METALS[rng.integers(len(METALS))], rng)


def wood(rng: np.random.Generator) -> Material:
    """Sample a wood with grain along v."""
    color = np.array(WOODS[rng.integers(len(WOODS))]) + rng.normal(0, 8, 3)
    u, v = np.meshgrid(np.linspace(0, 1, TEXTURE_SIZE), np.linspace(0, 1, TEXTURE_SIZE))
    wave = 0.02 * np.sin(2 * np.pi * v + rng.uniform(0, 6)) + u
    phases = rng.uniform(0, 2 * np.pi, 4)
    grain = sum(
        np.sin(2 * np.pi * k * wave + phase) / np.sqrt(k)
        for k, phase in zip((3, 8, 17, 31), phases, strict=True)
    )
    return _texture(color * (1 + 0.09 * grain[..., None]))


def cloth(rng: np.random.Generator) -> Material:
    """Sample a woven, striped or checked cloth."""
    base, other = (np.array(CLOTHS[i]) + rng.normal(0, 10, 3) for i in rng.choice(len(CLOTHS), 2))
    u, v = np.meshgrid(np.arange(TEXTURE_SIZE), np.arange(TEXTURE_SIZE))
    pattern, num_stripes = rng.integers(4), 2 ** rng.integers(2, 5)
    stripes = np.sin(2 * np.pi * num_stripes * u / TEXTURE_SIZE) > 0.3
    checks = stripes ^ (np.sin(2 * np.pi * num_stripes * v / TEXTURE_SIZE) > 0.3)
    mask = [np.zeros_like(stripes), np.zeros_like(stripes), stripes, checks][pattern]
    noise = rng.normal(0, 6, (TEXTURE_SIZE, TEXTURE_SIZE, 1))
    return _texture(np.where(mask[..., None], 0.5 * base + 0.5 * other, base) + noise)


def _texture(rgb: np.ndarray) -> Texture:
    pixels = np.clip(rgb, 0, 255).astype(np.uint8)
    return Texture(np.insert(pixels, 3, 255, axis=2))


def cover(material: Material, *parts: np.ndarray) -> list[Mesh]:
    """Give parts (T, 3, 3) a material; a texture is projected along each face's main axis."""
    meshes = []
    for triangles in parts:
        normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        axis = np.abs(normal).argmax(axis=1)
        u, v = np.array([[2, 1], [2, 0], [0, 1]])[axis].T  # grain upright, or along x where flat
        rows = np.arange(len(triangles))
        uv = np.stack([triangles[rows, :, u], triangles[rows, :, v]], axis=2) / TEXTURE_WIDTH
        if isinstance(material, Texture):
            meshes.append(make_mesh(triangles, (255, 255, 255, 255), uv=uv, texture=material))
        else:
            meshes.append(make_mesh(triangles, (*material, 255)))
    return meshes

"""What furniture is made of: colors and small textures, drawn at random."""

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import SimpleMaterial

WOODS = [
    (196, 150, 98),
    (150, 100, 58),
    (104, 66, 40),
    (222, 190, 146),
    (70, 48, 36),
    (168, 92, 60),
]
PAINTS = [
    (238, 236, 230),
    (40, 42, 46),
    (178, 52, 44),
    (52, 96, 148),
    (88, 132, 92),
    (222, 176, 60),
]
CLOTHS = [
    (150, 150, 152), (92, 104, 124), (176, 156, 128), (118, 62, 58), (84, 112, 104), (60, 58, 64),
    (202, 196, 184), (166, 110, 62),
]  # fmt: skip
METALS = [(172, 174, 178), (90, 92, 96), (54, 54, 58), (190, 162, 104)]
BLACK, SCREEN, GLASS, PAPER = (30, 30, 33), (42, 48, 60), (176, 200, 206), (244, 236, 214)
SIDE = 128  # pixels of a texture
REPEAT = 0.5  # metres that a texture covers


def plain(color, generator: np.random.Generator, spread: float = 14) -> SimpleMaterial:
    """A color close to one of those above."""
    rgb = np.clip(np.array(color) + generator.normal(0, spread, 3) * [1, 0.8, 0.8], 0, 255)
    return SimpleMaterial(diffuse=[*rgb.astype(int).tolist(), 255])


def pick(colors, generator: np.random.Generator) -> SimpleMaterial:
    return plain(colors[generator.integers(len(colors))], generator)


def wood(generator: np.random.Generator) -> SimpleMaterial:
    """A wood with grain along v."""
    color = np.array(WOODS[generator.integers(len(WOODS))]) + generator.normal(0, 8, 3)
    across, along = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    wave = 0.02 * np.sin(2 * np.pi * along + generator.uniform(0, 6)) + across
    phases = generator.uniform(0, 2 * np.pi, 4)
    grain = sum(
        np.sin(2 * np.pi * k * wave + phase) / np.sqrt(k)
        for k, phase in zip((3, 8, 17, 31), phases, strict=True)
    )
    return _textured(color * (1 + 0.09 * grain[..., None]))


def cloth(generator: np.random.Generator) -> SimpleMaterial:
    """A woven, striped or plain cloth."""
    base, other = (
        np.array(CLOTHS[i]) + generator.normal(0, 10, 3) for i in generator.choice(len(CLOTHS), 2)
    )
    across, along = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    kind = generator.integers(4)
    count = 2 ** generator.integers(2, 5)
    stripes = np.sin(2 * np.pi * count * across / SIDE) > 0.3
    checks = stripes ^ (np.sin(2 * np.pi * count * along / SIDE) > 0.3)
    mask = [np.zeros_like(stripes), np.zeros_like(stripes), stripes, checks][kind]
    noise = generator.normal(0, 6, (SIDE, SIDE, 1))
    return _textured(np.where(mask[..., None], 0.5 * base + 0.5 * other, base) + noise)


def _textured(pixels: np.ndarray) -> SimpleMaterial:
    return SimpleMaterial(image=Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))


def cover(triangles: np.ndarray, material: SimpleMaterial) -> trimesh.Trimesh:
    """A part of a material; its texture is laid on from the side that each face looks to."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    axis = np.abs(normal).argmax(axis=1)
    u, v = np.array([[2, 1], [2, 0], [0, 1]])[axis].T  # grain upright, or along x where flat
    rows = np.arange(len(triangles))
    uv = np.stack([triangles[rows, :, u], triangles[rows, :, v]], axis=2) / REPEAT
    return trimesh.Trimesh(
        triangles.reshape(-1, 3),
        np.arange(len(triangles) * 3).reshape(-1, 3),
        process=False,
        visual=TextureVisuals(uv=uv.reshape(-1, 2), material=material),
    )

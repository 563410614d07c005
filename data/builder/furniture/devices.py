"""Displays, loudspeakers and telephones."""

import numpy as np

from data.builder.furniture import materials
from data.builder.furniture.materials import BLACK, METALS, PAINTS, SCREEN, cover, plain
from data.builder.furniture.parts import (
    block,
    corners,
    face_front,
    lathe,
    rod,
    smooth_path,
    translate,
    tube,
)
from data.builder.mesh import Mesh


def display(rng: np.random.Generator) -> list[Mesh]:
    """Sample a flat screen with a bezel on a foot."""
    width = rng.uniform(0.45, 1.1)
    height, depth = width * rng.uniform(0.54, 0.72), rng.uniform(0.025, 0.06)
    bezel, bottom = rng.uniform(0.012, 0.035), rng.uniform(0.06, 0.16)
    case = plain([BLACK, METALS[0], METALS[1], PAINTS[0]][rng.integers(4)], rng, 5)
    y = bottom + height / 2
    panel = block((0, y, 0), (depth, height, width), min(0.012, depth / 3))
    rear = block((-depth * 0.8, y, 0), (depth, height * 0.6, width * 0.6), depth * 0.4)
    if rng.random() < 0.5:
        foot = block((-0.02, 0.012, 0), (0.2, 0.024, width * rng.uniform(0.35, 0.6)), 0.01, 0.06)
    else:
        foot = lathe((-0.02, 0, 0), [(0.24 * width, 0), (0.24 * width, 0.012), (0.05, 0.024)])
    neck = block((-0.03, y / 2, 0), (0.03, y, rng.uniform(0.05, 0.16)), 0, 0.01)
    screen = block((depth / 2, y, 0), (0.004, height - 2 * bezel, width - 2 * bezel))
    return cover(case, panel, rear, foot, neck) + cover(plain(SCREEN, rng, 8), screen)


def speaker(rng: np.random.Generator) -> list[Mesh]:
    """Sample a box with round drivers in its front, some on spikes."""
    width = rng.uniform(0.16, 0.32)
    depth, height = width * rng.uniform(0.9, 1.4), width * rng.uniform(1.4, 4.2)
    body = materials.wood(rng) if rng.random() < 0.6 else plain(BLACK, rng, 8)
    foot = rng.choice([0, 0.03])
    box = block((0, foot + height / 2, 0), (depth, height, width), 0.006, rng.uniform(0.005, 0.05))
    parts = cover(body, box)
    if foot:
        for x, z in corners(depth / 2 - 0.03, width / 2 - 0.03):
            spike = lathe((x, 0, z), [(0.004, 0), (0.014, 0.035)])
            parts += cover(materials.metal(rng), spike)
    num_drivers = int(rng.integers(2, 5))
    cone, ring = plain((60, 60, 64), rng, 4), materials.metal(rng)
    y = foot + 0.1 * height
    for i in range(num_drivers):
        is_tweeter = i == num_drivers - 1
        radius = min(0.42 * width, 0.4 * height / num_drivers) * (0.55 if is_tweeter else 1)
        y += radius
        parts += _driver((depth / 2, y, 0), radius, ring, cone)
        y += radius + 0.03 * height
    return parts


def _driver(center, radius: float, ring, cone) -> list[Mesh]:
    """Return a loudspeaker's surround, cone and dust cap."""
    profiles = [
        (ring, [(radius, -0.01), (radius, 0.012), (0.86 * radius, 0.014)]),
        (cone, [(0.8 * radius, 0), (0.8 * radius, 0.018), (0.3 * radius, 0.01)]),
        (ring, [(0.3 * radius, 0), (0.28 * radius, 0.02), (0.1 * radius, 0.03)]),
    ]
    parts = []
    for material, profile in profiles:
        parts += cover(material, translate(face_front(lathe((0, 0, 0), profile)), center))
    return parts


def telephone(rng: np.random.Generator) -> list[Mesh]:
    """Sample a handset on a cradle, or an upright slab with a screen and perhaps keys."""
    case = plain([BLACK, PAINTS[0], PAINTS[2], METALS[0]][rng.integers(4)], rng, 6)
    dark, pale = plain(SCREEN, rng, 8), plain((206, 206, 208), rng, 6)
    sample = _slab_phone if rng.random() < 0.5 else _desk_phone
    return sample(rng, case, dark, pale)


def _desk_phone(rng, case, dark, pale) -> list[Mesh]:
    depth, width = rng.uniform(0.17, 0.2), rng.uniform(0.17, 0.23)
    height = rng.uniform(0.05, 0.09)
    base = block((0, height / 2, 0), (depth, height, width), 0.012, 0.025)
    base[..., 1] *= 0.75 - 0.5 * base[..., 0] / depth  # a wedge, low in front
    parts = cover(case, base)
    z, top = -width * 0.3, height + 0.05
    for side in (-1, 1):
        cup = [(0.026, 0), (0.03, 0.03), (0.024, 0.045)]
        parts += cover(case, lathe((side * depth * 0.36, height * 0.75, z), cup))
    grip = [(-depth * 0.42, top - 0.01, z), (0, top + 0.018, z), (depth * 0.42, top - 0.01, z)]
    parts += cover(case, tube(smooth_path(grip), 0.018))
    if rng.random() < 0.5:
        center = (0.01, height * 0.55, width * 0.16)
        parts += cover(pale, lathe(center, [(0.055, 0), (0.055, 0.026), (0.04, 0.03)]))
        return parts + cover(dark, lathe(center, [(0.02, 0), (0.018, 0.036)]))
    for i in range(4):
        for j in range(3):
            x, z = depth * (0.32 - 0.16 * i), width * (0.02 + 0.13 * j)
            key = block((x, height * (0.72 - 0.5 * x / depth), z), (0.018, 0.03, 0.018), 0.003)
            parts += cover(pale, key)
    return parts


def _slab_phone(rng, case, dark, pale) -> list[Mesh]:
    width, height = rng.uniform(0.045, 0.075), rng.uniform(0.11, 0.16)
    depth, corner = rng.uniform(0.008, 0.022), rng.uniform(0.004, 0.02)
    body = face_front(block((0, 0, 0), (height, depth, width), depth * 0.35, corner))
    parts = cover(case, translate(body, (0, height / 2, 0)))
    has_keys = rng.random() < 0.5
    bottom, top = (0.45 if has_keys else 0.1) * height, 0.9 * height
    screen = block((depth / 2, (bottom + top) / 2, 0), (0.001, top - bottom, 0.86 * width))
    parts += cover(dark, screen)
    if not has_keys:
        button = lathe((0, 0, 0), [(0.008, 0), (0.008, 0.001)])
        return parts + cover(pale, translate(face_front(button), (depth / 2, height * 0.055, 0)))
    for i in range(4):
        for j in range(3):
            center = (depth / 2, height * (0.08 + 0.09 * i), width * 0.27 * (j - 1))
            parts += cover(pale, block(center, (0.003, 0.05 * height, 0.2 * width), 0.001))
    if rng.random() < 0.6:
        z = width * 0.36
        aerial = rod((0, height * 0.95, z), (0, height * 1.25, z), 0.1 * width)
        parts += cover(case, aerial)
    return parts

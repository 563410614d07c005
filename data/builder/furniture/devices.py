"""Displays, loudspeakers and telephones, front towards +x."""

import numpy as np

from data.builder.furniture import materials as of
from data.builder.furniture.parts import block, circle, curve, loft, moved, rod, tube, turned


def display(draw: np.random.Generator) -> list:
    """A flat screen, its bezel and a foot."""
    width = draw.uniform(0.45, 1.1)
    height, thick = width * draw.uniform(0.54, 0.72), draw.uniform(0.025, 0.06)
    bezel, low = draw.uniform(0.012, 0.035), draw.uniform(0.06, 0.16)
    case = of.plain([of.BLACK, of.METALS[0], of.METALS[1], of.PAINTS[0]][draw.integers(4)], draw, 5)
    y = low + height / 2
    solids = [
        block((0, y, 0), (thick, height, width), min(0.012, thick / 3)),
        block((-thick * 0.8, y, 0), (thick, height * 0.6, width * 0.6), thick * 0.4),
    ]
    if draw.random() < 0.5:
        solids.append(
            block((-0.02, 0.012, 0), (0.2, 0.024, width * draw.uniform(0.35, 0.6)), 0.01, 0.06)
        )
    else:
        solids.append(
            turned((-0.02, 0, 0), [(0.24 * width, 0), (0.24 * width, 0.012), (0.05, 0.024)])
        )
    solids.append(block((-0.03, y / 2, 0), (0.03, y, draw.uniform(0.05, 0.16)), 0, 0.01))
    face = block((thick / 2, y, 0), (0.004, height - 2 * bezel, width - 2 * bezel))
    return [
        *(of.cover(part, case) for part in solids),
        of.cover(face, of.plain(of.SCREEN, draw, 8)),
    ]


def speaker(draw: np.random.Generator) -> list:
    """A box with round cones in its front, sometimes on spikes."""
    width = draw.uniform(0.16, 0.32)
    depth, height = width * draw.uniform(0.9, 1.4), width * draw.uniform(1.4, 4.2)
    body = of.wood(draw) if draw.random() < 0.6 else of.plain(of.BLACK, draw, 8)
    parts = []
    foot = draw.choice([0, 0.03])
    shape = block(
        (0, foot + height / 2, 0), (depth, height, width), 0.006, draw.uniform(0.005, 0.05)
    )
    parts.append(of.cover(shape, body))
    if foot:
        x, z = depth / 2 - 0.03, width / 2 - 0.03
        for sx, sz in ((-x, -z), (-x, z), (x, -z), (x, z)):
            spike = turned((sx, 0, sz), [(0.004, 0), (0.014, 0.035)])
            parts.append(of.cover(spike, of.pick(of.METALS, draw)))
    cones, dark = int(draw.integers(2, 5)), of.plain((60, 60, 64), draw, 4)
    ring = of.pick(of.METALS, draw)
    y = foot + 0.1 * height
    for i in range(cones):
        radius = min(0.42 * width, 0.4 * height / cones) * (0.55 if i == cones - 1 else 1)
        y += radius
        place = (depth / 2, y, 0)
        parts.append(
            of.cover(
                _facing([(radius, -0.01), (radius, 0.012), (0.86 * radius, 0.014)]) + place, ring
            )
        )
        parts.append(
            of.cover(
                _facing([(0.8 * radius, 0), (0.8 * radius, 0.018), (0.3 * radius, 0.01)]) + place,
                dark,
            )
        )
        parts.append(
            of.cover(
                _facing([(0.3 * radius, 0), (0.28 * radius, 0.02), (0.1 * radius, 0.03)]) + place,
                ring,
            )
        )
        y += radius + 0.03 * height
    return parts


def _facing(profile) -> np.ndarray:
    """A turned part whose axis points to +x."""
    return turned((0, 0, 0), profile)[..., [1, 0, 2]]


def telephone(draw: np.random.Generator) -> list:
    """A handset on a cradle, or a slab with a screen or keys that stands upright."""
    case = of.plain([of.BLACK, of.PAINTS[0], of.PAINTS[2], of.METALS[0]][draw.integers(4)], draw, 6)
    dark, pale = of.plain(of.SCREEN, draw, 8), of.plain((206, 206, 208), draw, 6)
    if draw.random() < 0.5:
        return _slab_phone(draw, case, dark, pale)
    depth, width, high = draw.uniform(0.17, 0.2), draw.uniform(0.17, 0.23), draw.uniform(0.05, 0.09)
    base = _wedge(depth, width, high)
    parts = [of.cover(base, case)]
    z = -width * 0.3
    for side in (-1, 1):
        cup = turned(
            (side * depth * 0.36, high * 0.75, z), [(0.026, 0), (0.03, 0.03), (0.024, 0.045)]
        )
        parts.append(of.cover(cup, case))
    top = high + 0.05
    grip = curve(
        [(-depth * 0.42, top - 0.01, z), (0, top + 0.018, z), (depth * 0.42, top - 0.01, z)]
    )
    parts.append(of.cover(tube(grip, 0.018), case))
    if draw.random() < 0.5:
        dial = turned((0.01, high * 0.55, width * 0.16), [(0.055, 0), (0.055, 0.026), (0.04, 0.03)])
        parts.append(of.cover(dial, pale))
        parts.append(
            of.cover(turned((0.01, high * 0.55, width * 0.16), [(0.02, 0), (0.018, 0.036)]), dark)
        )
    else:
        for i in range(4):
            for j in range(3):
                x, s = depth * (0.32 - 0.16 * i), width * (0.02 + 0.13 * j)
                key = block((x, high * (0.72 - 0.5 * x / depth), s), (0.018, 0.03, 0.018), 0.003)
                parts.append(of.cover(key, pale))
    return parts


def _wedge(depth: float, width: float, high: float) -> np.ndarray:
    """A base that is low in front."""
    solid = block((0, high / 2, 0), (depth, high, width), 0.012, 0.025)
    solid[..., 1] *= 0.75 - 0.5 * solid[..., 0] / depth
    return solid


def _slab_phone(draw, case, dark, pale) -> list:
    width, height = draw.uniform(0.045, 0.075), draw.uniform(0.11, 0.16)
    thick, corner = draw.uniform(0.008, 0.022), draw.uniform(0.004, 0.02)
    outline = block((0, 0, 0), (height, thick, width), thick * 0.35, corner)[..., [1, 0, 2]]
    parts = [of.cover(moved(outline, 0, height / 2, 0), case)]
    keys = draw.random() < 0.5
    low = 0.45 * height if keys else 0.1 * height
    face = block(
        (thick / 2, (low + 0.9 * height) / 2, 0), (0.001, 0.9 * height - low, 0.86 * width)
    )
    parts.append(of.cover(face, dark))
    if keys:
        for i in range(4):
            for j in range(3):
                place = (thick / 2, height * (0.08 + 0.09 * i), width * 0.27 * (j - 1))
                parts.append(
                    of.cover(block(place, (0.003, 0.05 * height, 0.2 * width), 0.001), pale)
                )
        if draw.random() < 0.6:
            aerial = rod(
                (0, height * 0.95, width * 0.36), (0, height * 1.25, width * 0.36), 0.1 * width
            )
            parts.append(of.cover(aerial, case))
    else:
        button = loft(np.array([np.insert(circle(0.008), 1, t, axis=1) for t in (0, 0.001)]))
        parts.append(of.cover(button[..., [1, 0, 2]] + (thick / 2, height * 0.055, 0), pale))
    return parts

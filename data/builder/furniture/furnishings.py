"""Tables, cabinets and lamps."""

import numpy as np

from data.builder.furniture import materials
from data.builder.furniture.materials import GLASS, PAINTS, PAPER, cover, plain
from data.builder.furniture.parts import (
    block,
    corners,
    face_front,
    lathe,
    lathe_shell,
    rod,
    smooth_path,
    spline_profile,
    square_legs,
    tilt_back,
    translate,
    tube,
)
from data.builder.mesh import Mesh

WALL = 0.022  # thickness of a cabinet's boards


def table(rng: np.random.Generator) -> list[Mesh]:
    """Sample a top, rectangular or round, on legs, a pedestal, trestles or panels."""
    height = rng.choice([rng.uniform(0.36, 0.48), rng.uniform(0.68, 0.78)])
    depth = rng.uniform(0.55, 0.95)
    width = depth * rng.uniform(1.0, 2.2)
    thickness = rng.uniform(0.02, 0.06)
    under = height - thickness
    top, frame = materials.wood(rng), materials.metal(rng)
    if rng.random() < 0.6:
        frame = top
    elif rng.random() < 0.4:
        top = plain(GLASS if rng.random() < 0.5 else PAINTS[0], rng)
    base = rng.choice(["legs", "legs", "turned", "splayed", "pedestal", "trestle", "panels"])
    if base == "pedestal" or rng.random() < 0.2:
        stretch = rng.uniform(1, 1.5) if rng.random() < 0.4 else 1.0
        edge = [(0.96, 0), (1, 0.3), (1, 0.7), (0.96, 1)]
        profile = [(depth / 2 * r, thickness * y) for r, y in edge]
        board = lathe((0, under, 0), profile) * (1, 1, stretch)
        depth, width = depth * 0.72, depth * 0.72 * stretch  # the square between the legs
    else:
        corner = rng.choice([0.005, rng.uniform(0.03, 0.15)])
        center = (0, height - thickness / 2, 0)
        board = block(center, (depth, thickness, width), thickness * 0.2, corner)
    supports = _table_base(rng, base, under, depth, width)
    if base in ("legs", "turned") and rng.random() < 0.6:
        rail = rng.uniform(0.06, 0.12)
        supports.append(block((0, under - rail / 2, 0), (depth - 0.12, rail, width - 0.12)))
    if base == "legs" and rng.random() < 0.3:
        supports.append(block((0, under * 0.3, 0), (depth - 0.08, 0.025, width - 0.08)))
    return cover(top, board) + cover(frame, *supports)


def _table_base(rng, kind: str, height: float, depth: float, width: float) -> list[np.ndarray]:
    x, z = depth / 2 - 0.06, width / 2 - 0.06
    if kind == "pedestal":
        column = spline_profile([*rng.uniform(0.03, 0.08, 4), 0.09], height - 0.04)
        foot = [(0.4 * width, 0), (0.4 * width, 0.015), (0.1, 0.045), (0.05, 0.06)]
        return [lathe((0, 0, 0), foot), lathe((0, 0.04, 0), column)]
    if kind == "trestle":
        parts = [rod((0, height * 0.25, -z), (0, height * 0.25, z), 0.025)]
        for end in (-z, z):
            parts.append(block((0, 0.03, end), (depth * 0.9, 0.06, 0.09), 0.015))
            parts.append(block((0, height / 2, end), (depth * 0.3, height, 0.05), 0, 0.01, 1.5))
        return parts
    if kind == "panels":
        ends = [block((0, height / 2, end), (depth - 0.06, height, 0.04)) for end in (-z, z)]
        return [*ends, block((-x, height * 0.65, 0), (0.02, height * 0.6, width - 0.12))]
    if kind == "turned":
        profile = spline_profile(rng.uniform(0.022, 0.05, 6), height)
        return [lathe((leg_x, 0, leg_z), profile) for leg_x, leg_z in corners(x, z)]
    side, taper = rng.uniform(0.04, 0.08), rng.uniform(0.5, 1)
    corner, splay = side * rng.uniform(0.1, 0.5), 0.1 if kind == "splayed" else 0
    return square_legs(corners(0.9 * x, 0.9 * z), height, side, corner, taper, splay)


def cabinet(rng: np.random.Generator) -> list[Mesh]:
    """Sample a carcass with doors, drawers and open shelves on feet or a plinth."""
    depth = rng.uniform(0.35, 0.6)
    width, height = [
        (rng.uniform(0.45, 0.9), rng.uniform(0.5, 0.9)),
        (rng.uniform(0.9, 1.6), rng.uniform(0.6, 0.9)),
        (rng.uniform(0.7, 1.2), rng.uniform(1.5, 2.1)),
    ][rng.integers(3)]
    body = materials.wood(rng) if rng.random() < 0.6 else materials.paint(rng)
    front = body if rng.random() < 0.6 else materials.paint(rng)
    metal, foot = materials.metal(rng), rng.uniform(0.03, 0.16)
    middle, inner = foot + height / 2, height - 2 * WALL
    carcass = [
        block((-depth / 2 + 0.01, middle, 0), (0.02, height, width)),
        block((0, middle, -1 * (width - WALL) / 2), (depth, height, WALL)),
        block((0, middle, (width - WALL) / 2), (depth, height, WALL)),
        block((0, foot + WALL / 2, 0), (depth, WALL, width)),
        block((0.01, foot + height + 0.012, 0), (depth + 0.03, 0.024, width + 0.03), 0.008),
    ]
    num_bays = max(1, round(width / rng.uniform(0.4, 0.6)))
    bay_width = (width - WALL) / num_bays
    parts = []
    for i in range(num_bays):
        z = bay_width * (i + 0.5) - (width - WALL) / 2
        if i:
            carcass.append(block((0, middle, z - bay_width / 2), (depth - 0.04, inner, WALL)))
        kind = rng.choice(["door", "drawers", "shelves"], p=[0.45, 0.35, 0.2])
        corner = (depth / 2, foot + WALL, z)
        if kind == "shelves":
            carcass += _shelves(rng, corner, inner, bay_width)
        else:
            parts += _leaves(rng, kind, corner, inner, bay_width, (front, metal))
    if rng.random() < 0.4:
        carcass.append(block((-0.02, foot / 2, 0), (depth - 0.08, foot, width - 0.06)))
    else:
        places = corners(depth / 2 - 0.05, width / 2 - 0.05)
        carcass += square_legs(places, foot, 0.05, 0.025, 0.6)
    return cover(body, *carcass) + parts


def _shelves(rng, corner, height: float, width: float) -> list[np.ndarray]:
    """Sample the shelves of an open bay whose front bottom middle is `corner`."""
    x, bottom, z = corner
    num_shelves = int(rng.integers(2, 4)) + (height > 1.2) * 2 - 1
    stretch = 1.6 if height < 1.2 else 1
    size = (2 * x - 0.04, 0.02, width)
    heights = [bottom + height * i / 5 * stretch for i in range(1, num_shelves + 1)]
    return [block((0, y, z), size) for y in heights]


def _leaves(rng, kind: str, corner, height: float, width: float, surfaces) -> list[Mesh]:
    """Sample the door or the drawers of a bay whose front bottom middle is `corner`."""
    x, bottom, z = corner
    front, metal = surfaces
    num_leaves = 1 if kind == "door" else max(2, round(height / rng.uniform(0.18, 0.3)))
    leaf_height = height / num_leaves
    knob = [(0.006, 0), (0.008, 0.015), (0.02, 0.022), (0.02, 0.032), (0.01, 0.038)]
    parts = []
    for i in range(num_leaves):
        y = bottom + leaf_height * (i + 0.5)
        leaf = block((x + 0.005, y, z), (0.022, leaf_height - 0.012, width - 0.014), 0.006)
        if kind == "door":
            side = z + width * 0.38
            handle = rod((x + 0.04, y - 0.06, side), (x + 0.04, y + 0.06, side), 0.009)
        else:
            handle = translate(face_front(lathe((0, 0, 0), knob)), (x + 0.012, y, z))
        parts += cover(front, leaf) + cover(metal, handle)
    return parts


def lamp(rng: np.random.Generator) -> list[Mesh]:
    """Sample a shade on a turned foot, on a pole, on a jointed arm, or hung from a cord."""
    kind = rng.choice(["table", "table", "floor", "arm", "hanging"])
    metal = materials.metal(rng)
    shade = plain(PAPER, rng) if rng.random() < 0.6 else materials.paint(rng)
    if kind == "arm":
        return _desk_lamp(rng, metal, shade)
    body = [metal, materials.paint(rng), materials.wood(rng)][rng.integers(3)]
    radius, tall = rng.uniform(0.13, 0.24), rng.uniform(0.16, 0.3)
    upper = radius * rng.uniform(0.4, 1.0)
    if kind == "hanging":
        return _hanging_lamp(rng, metal, shade, radius, upper, tall)
    if kind == "floor":
        height, radius, upper, tall = rng.uniform(1.1, 1.5), radius * 1.3, upper * 1.3, tall * 1.2
        profile = [(0.15, 0), (0.15, 0.02), (0.03, 0.035), (0.014, 0.05), (0.014, height)]
    else:
        height = rng.uniform(0.22, 0.45)
        radii = [rng.uniform(0.06, 0.1), *rng.uniform(0.03, 0.11, 3), 0.02]
        foot = [(r, y + 0.015) for r, y in spline_profile(radii, height * 0.85)]
        profile = [(foot[0][0] * 1.2, 0), *foot, (0.012, height)]
    bulb, top = spline_profile([0.012, 0.04, 0.045, 0.015], 0.12), height + tall * 0.72
    cone = lathe_shell([(radius, 0), ((radius + upper) / 2, tall / 2), (upper, tall)], 0.006)
    spokes = rod((-upper * 0.98, top, 0), (upper * 0.98, top, 0), 0.004)
    return [
        *cover(body, lathe((0, 0, 0), profile)),
        *cover(shade, translate(cone, (0, height - tall * 0.25, 0))),
        *cover(plain(PAPER, rng), lathe((0, height, 0), bulb)),
        *cover(metal, spokes, rod((0, height, 0), (0, top, 0), 0.006)),
    ]


def _hanging_lamp(rng, metal, shade, radius: float, upper: float, tall: float) -> list[Mesh]:
    cord = rng.uniform(0.2, 0.6)
    dome = spline_profile([radius, radius * rng.uniform(0.8, 1.1), upper, 0.03], tall)
    socket = [(0.025, 0), (0.02, 0.05), (0.006, 0.06), (0.006, cord)]
    canopy = lathe((0, tall + cord - 0.03, 0), [(0.05, 0), (0.05, 0.025)])
    return cover(shade, lathe_shell(dome, 0.006)) + cover(
        metal, lathe((0, tall - 0.01, 0), socket), canopy
    )


def _desk_lamp(rng, metal, shade) -> list[Mesh]:
    reach, rise = rng.uniform(0.15, 0.3), rng.uniform(0.3, 0.45)
    base, knee = (0, 0.02, 0), (-reach, rise, 0)
    tip = np.array([rng.uniform(0.05, 0.2), rise + rng.uniform(0.02, 0.2), 0])
    if rng.random() < 0.5:
        arm = [tube(smooth_path([base, (-reach * 0.6, rise * 0.6, 0), knee, tip]), 0.012)]
    else:
        arm = [rod(base, knee, 0.012), rod(knee, tip, 0.012)]
    bell = lathe_shell([(0.1, 0), (0.085, 0.06), (0.04, 0.12), (0.025, 0.15)], 0.006)
    bell = translate(tilt_back(bell, -rng.uniform(0.2, 0.7)), tip)
    foot = lathe((0, 0, 0), [(0.11, 0), (0.11, 0.015), (0.03, 0.03)])
    return [
        *cover(metal, *arm),
        *cover(shade, translate(bell, (0, -0.13, 0))),
        *cover(metal, foot),
    ]

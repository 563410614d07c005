"""Tables, cabinets and lamps, front towards +x."""

import numpy as np

from data.builder.furniture import materials as of
from data.builder.furniture.parts import (
    block,
    bulging,
    circle,
    curve,
    loft,
    moved,
    rod,
    tube,
    turned,
)


def table(draw: np.random.Generator) -> list:
    """A top, rectangular or round, on legs, a pedestal, trestles or a bent frame."""
    height = draw.choice([draw.uniform(0.36, 0.48), draw.uniform(0.68, 0.78)])
    depth = draw.uniform(0.55, 0.95)
    width = depth * draw.uniform(1.0, 2.2)
    thick = draw.uniform(0.02, 0.06)
    top, frame = of.wood(draw), of.pick(of.METALS, draw)
    if draw.random() < 0.6:
        frame = top
    elif draw.random() < 0.4:
        top = of.plain(of.GLASS if draw.random() < 0.5 else of.PAINTS[0], draw)
    kind = draw.choice(["legs", "legs", "turned", "splayed", "pedestal", "trestle", "panels"])
    is_round = kind == "pedestal" or draw.random() < 0.2
    y, under = height - thick / 2, height - thick
    if is_round:
        stretch = draw.uniform(1, 1.5) if draw.random() < 0.4 else 1.0
        rings = [(0.96, 0), (1, 0.3), (1, 0.7), (0.96, 1)]
        flat = [np.insert(circle(depth / 2 * r), 1, under + thick * t, axis=1) for r, t in rings]
        parts = [of.cover(loft(np.array(flat)) * (1, 1, stretch), top)]
        depth, width = depth * 0.72, depth * 0.72 * stretch
    else:
        corner = draw.choice([0.005, draw.uniform(0.03, 0.15)])
        parts = [of.cover(block((0, y, 0), (depth, thick, width), thick * 0.2, corner), top)]
    supports = _table_base(kind, draw, under, depth, width)
    if kind in ("legs", "turned") and draw.random() < 0.6:
        rail = draw.uniform(0.06, 0.12)
        supports.append(block((0, under - rail / 2, 0), (depth - 0.12, rail, width - 0.12)))
    if kind == "legs" and draw.random() < 0.3:
        supports.append(block((0, under * 0.3, 0), (depth - 0.08, 0.025, width - 0.08)))
    return [*parts, *(of.cover(part, frame) for part in supports)]


def _table_base(kind: str, draw, height: float, depth: float, width: float) -> list[np.ndarray]:
    x, z = depth / 2 - 0.06, width / 2 - 0.06
    corners = [(sx * x, sz * z) for sx in (-1, 1) for sz in (-1, 1)]
    if kind == "pedestal":
        column = bulging([*draw.uniform(0.03, 0.08, 4), 0.09], height - 0.04)
        foot = [(0.4 * width, 0), (0.4 * width, 0.015), (0.1, 0.045), (0.05, 0.06)]
        return [turned((0, 0, 0), foot), turned((0, 0.04, 0), column)]
    if kind == "trestle":
        solids = [rod((0, height * 0.25, -z), (0, height * 0.25, z), 0.025)]
        for s in (-z, z):
            solids.append(block((0, 0.03, s), (depth * 0.9, 0.06, 0.09), 0.015))
            solids.append(block((0, height / 2, s), (depth * 0.3, height, 0.05), 0, 0.01, 1.5))
        return solids
    if kind == "panels":
        solids = [block((0, height / 2, s), (depth - 0.06, height, 0.04)) for s in (-z, z)]
        return [*solids, block((-x, height * 0.65, 0), (0.02, height * 0.6, width - 0.12))]
    if kind == "turned":
        radii = draw.uniform(0.022, 0.05, 6)
        return [turned((cx, 0, cz), bulging(radii, height)) for cx, cz in corners]
    side, taper = draw.uniform(0.04, 0.08), draw.uniform(0.5, 1)
    foot, corner = 0.1 if kind == "splayed" else 0, side * draw.uniform(0.1, 0.5)
    return [
        block(
            (cx * 0.9, height / 2, cz * 0.9), (side, height, side), 0, corner, taper,
            (foot * np.sign(cx), foot * np.sign(cz)),
        )
        for cx, cz in corners
    ]  # fmt: skip


def cabinet(draw: np.random.Generator) -> list:
    """A carcass with doors, drawers and open shelves, on feet or a plinth."""
    depth = draw.uniform(0.35, 0.6)
    width, height = [
        (draw.uniform(0.45, 0.9), draw.uniform(0.5, 0.9)),
        (draw.uniform(0.9, 1.6), draw.uniform(0.6, 0.9)),
        (draw.uniform(0.7, 1.2), draw.uniform(1.5, 2.1)),
    ][draw.integers(3)]
    body = of.wood(draw) if draw.random() < 0.6 else of.pick(of.PAINTS, draw)
    front = body if draw.random() < 0.6 else of.pick(of.PAINTS, draw)
    metal, foot, wall = of.pick(of.METALS, draw), draw.uniform(0.03, 0.16), 0.022
    inner = height - 2 * wall
    carcass = [
        block((-depth / 2 + 0.01, foot + height / 2, 0), (0.02, height, width)),
        *(
            block((0, foot + height / 2, s * (width - wall) / 2), (depth, height, wall))
            for s in (-1, 1)
        ),
        block((0, foot + wall / 2, 0), (depth, wall, width)),
        block((0.01, foot + height + 0.012, 0), (depth + 0.03, 0.024, width + 0.03), 0.008),
    ]
    columns = max(1, round(width / draw.uniform(0.4, 0.6)))
    parts, each = [], (width - wall) / columns
    for i in range(columns):
        z = each * (i + 0.5) - (width - wall) / 2
        if i:
            carcass.append(block((0, foot + height / 2, z - each / 2), (depth - 0.04, inner, wall)))
        kinds = ["door", "drawers", "shelves"]
        parts += _bay(draw.choice(kinds, p=[0.45, 0.35, 0.2]), draw, depth, foot + wall, inner, z,
                      each, front, metal, carcass)  # fmt: skip
    x, z = depth / 2 - 0.05, width / 2 - 0.05
    if draw.random() < 0.4:
        carcass.append(block((-0.02, foot / 2, 0), (depth - 0.08, foot, width - 0.06)))
    else:
        for sx, sz in ((-x, -z), (-x, z), (x, -z), (x, z)):
            carcass.append(block((sx, foot / 2, sz), (0.05, foot, 0.05), 0, 0.025, 0.6))
    return [*(of.cover(part, body) for part in carcass), *parts]


def _bay(kind, draw, depth, low, height, z, width, front, metal, carcass) -> list:
    """The front of one column of a cabinet; shelves go to the carcass."""
    x = depth / 2
    if kind == "shelves":
        for i in range(1, int(draw.integers(2, 4)) + (height > 1.2) * 2):
            carcass.append(
                block(
                    (0, low + height * i / 5 * (1.6 if height < 1.2 else 1), z),
                    (depth - 0.04, 0.02, width),
                )
            )
        return []
    count = 1 if kind == "door" else max(2, round(height / draw.uniform(0.18, 0.3)))
    parts = []
    for i in range(count):
        tall = height / count
        y = low + tall * (i + 0.5)
        leaf = block((x + 0.005, y, z), (0.022, tall - 0.012, width - 0.014), 0.006)
        parts.append(of.cover(leaf, front))
        if kind == "door":
            side = z + width * 0.38
            parts.append(
                of.cover(rod((x + 0.04, y - 0.06, side), (x + 0.04, y + 0.06, side), 0.009), metal)
            )
        else:
            knob = [(0.006, 0), (0.008, 0.015), (0.02, 0.022), (0.02, 0.032), (0.01, 0.038)]
            turn = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
            parts.append(of.cover(turned((0, 0, 0), knob) @ turn.T + (x + 0.012, y, z), metal))
    return parts


def lamp(draw: np.random.Generator) -> list:
    """A shade on a turned foot, on a tall pole, on a jointed arm, or hung from a cord."""
    kind = draw.choice(["table", "table", "floor", "arm", "hanging"])
    metal = of.pick(of.METALS, draw)
    shade = of.plain(of.PAPER, draw) if draw.random() < 0.6 else of.pick(of.PAINTS, draw)
    if kind == "arm":
        return _desk_lamp(draw, metal, shade)
    body = [metal, of.pick(of.PAINTS, draw), of.wood(draw)][draw.integers(3)]
    radius, tall = draw.uniform(0.13, 0.24), draw.uniform(0.16, 0.3)
    upper = radius * draw.uniform(0.4, 1.0)
    if kind == "hanging":
        cord = draw.uniform(0.2, 0.6)
        dome = bulging([radius, radius * draw.uniform(0.8, 1.1), upper, 0.03], tall)
        socket = [(0.025, 0), (0.02, 0.05), (0.006, 0.06), (0.006, cord)]
        return [
            of.cover(_shell(dome, 0.006), shade),
            of.cover(turned((0, tall - 0.01, 0), socket), metal),
            of.cover(turned((0, tall + cord - 0.03, 0), [(0.05, 0), (0.05, 0.025)]), metal),
        ]
    if kind == "floor":
        height, radius, upper, tall = draw.uniform(1.1, 1.5), radius * 1.3, upper * 1.3, tall * 1.2
        profile = [(0.15, 0), (0.15, 0.02), (0.03, 0.035), (0.014, 0.05), (0.014, height)]
    else:
        height = draw.uniform(0.22, 0.45)
        bulge = bulging(
            [draw.uniform(0.06, 0.1), *draw.uniform(0.03, 0.11, 3), 0.02], height * 0.85
        )
        profile = [(bulge[0][0] * 1.2, 0), *((r, y + 0.015) for r, y in bulge), (0.012, height)]
    bulb, top = bulging([0.012, 0.04, 0.045, 0.015], 0.12), height + tall * 0.72
    cone = [(radius, 0), ((radius + upper) / 2, tall / 2), (upper, tall)]
    return [
        of.cover(turned((0, 0, 0), profile), body),
        of.cover(moved(_shell(cone, 0.006), 0, height - tall * 0.25, 0), shade),
        of.cover(turned((0, height, 0), bulb), of.plain(of.PAPER, draw)),
        of.cover(rod((-upper * 0.98, top, 0), (upper * 0.98, top, 0), 0.004), metal),
        of.cover(rod((0, height, 0), (0, top, 0), 0.006), metal),
    ]


def _shell(profile, thickness: float) -> np.ndarray:
    """A turned wall, open above and below."""
    inner = [(radius - thickness, height) for radius, height in reversed(profile)]
    loop = [*profile, *inner, profile[0]]
    rings = np.array([np.insert(circle(radius), 1, height, axis=1) for radius, height in loop])
    return loft(rings)[: -2 * (rings.shape[1] - 2)]  # the ends meet: no lids


def _desk_lamp(draw, metal, shade) -> list:
    reach, rise = draw.uniform(0.15, 0.3), draw.uniform(0.3, 0.45)
    knee = (-reach, rise, 0)
    tip = np.array([draw.uniform(0.05, 0.2), rise + draw.uniform(0.02, 0.2), 0])
    bent = draw.random() < 0.5
    path = (
        curve([(0, 0.02, 0), (-reach * 0.6, rise * 0.6, 0), knee, tip])
        if bent
        else [(0, 0.02, 0), knee]
    )
    parts = [of.cover(tube(path, 0.012), metal)]
    if not bent:
        parts.append(of.cover(rod(knee, tip, 0.012), metal))
    bell = _shell([(0.1, 0), (0.085, 0.06), (0.04, 0.12), (0.025, 0.15)], 0.006)
    lean = draw.uniform(0.2, 0.7)
    c, s = np.cos(lean), np.sin(lean)
    bell = bell @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    foot = turned((0, 0, 0), [(0.11, 0), (0.11, 0.015), (0.03, 0.03)])
    return [*parts, of.cover(bell + tip - np.array([0, 0.13, 0]), shade), of.cover(foot, metal)]

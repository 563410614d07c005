"""Chairs, sofas and benches, front towards +x."""

import numpy as np

from data.builder.furniture import materials as of
from data.builder.furniture.parts import (
    bent_board,
    block,
    bulging,
    curve,
    moved,
    rectangle,
    rod,
    tube,
    turned,
)


def chair(draw: np.random.Generator) -> list:
    """A seat on legs, a pedestal or a sled, with a back and sometimes arms."""
    height, width = draw.uniform(0.4, 0.5), draw.uniform(0.42, 0.6)
    depth = width * draw.uniform(0.85, 1.05)
    frame = [of.wood, lambda d: of.pick(of.METALS, d), lambda d: of.pick(of.PAINTS, d)]
    frame = frame[draw.choice(3, p=[0.6, 0.2, 0.2])](draw)
    seat = of.cloth(draw) if draw.random() < 0.5 else frame
    thick = draw.uniform(0.05, 0.12) if seat is not frame else draw.uniform(0.025, 0.05)
    parts = [
        of.cover(
            block(
                (0, height, 0), (depth, thick, width), thick * 0.4, draw.uniform(0.02, 0.2) * width
            ),
            seat,
        )
    ]
    under = height - thick / 2
    base = draw.choice(["legs", "legs", "turned", "splayed", "sled", "pedestal"])
    parts += [of.cover(leg, frame) for leg in _chair_base(base, draw, under, depth, width)]
    top = draw.uniform(0.38, 0.6)
    parts += _back(draw, height + thick / 2, depth, width, top, frame, seat)
    if draw.random() < 0.45:
        parts += _arms(draw, height, depth, width, frame, seat)
    return parts


def _chair_base(kind: str, draw, height: float, depth: float, width: float) -> list[np.ndarray]:
    x, z = depth / 2 - 0.04, width / 2 - 0.04
    corners = [(sx * x, sz * z) for sx in (-1, 1) for sz in (-1, 1)]
    if kind == "pedestal":
        radius = 0.48 * width
        legs = [turned((0, 0.08, 0), bulging([0.03, 0.028, 0.045], height - 0.08))]
        for turn in np.arange(5) * 2 * np.pi / 5:
            tip = radius * np.array([np.cos(turn), 0, np.sin(turn)])
            legs.append(rod((0, 0.11, 0), tuple(tip + np.array([0, 0.05, 0])), 0.02))
            legs.append(turned(tip, [(0.02, 0), (0.03, 0.02), (0.03, 0.04), (0.02, 0.06)]))
        return legs
    if kind == "sled":
        return [
            tube(curve([(-x, height, s), (-x, 0.06, s), (-x + 0.05, 0.015, s), (x - 0.05, 0.015, s),
                        (x, 0.06, s), (x, height, s)], 40), 0.015)
            for s in (-z, z)
        ]  # fmt: skip
    if kind == "turned":
        radii = draw.uniform(0.014, 0.032, 6)
        legs = [turned((cx, 0, cz), bulging(radii, height)) for cx, cz in corners]
    else:
        side, foot = draw.uniform(0.03, 0.055), 0.09 if kind == "splayed" else 0
        taper = draw.uniform(0.5, 1)
        round_ = side / 2 if draw.random() < 0.4 else 0.004
        legs = [
            block(
                (cx, height / 2, cz), (side, height, side), 0, round_, taper,
                (foot * np.sign(cx), foot * np.sign(cz)),
            )
            for cx, cz in corners
        ]  # fmt: skip
    if kind != "splayed" and draw.random() < 0.4:
        y = height * draw.uniform(0.3, 0.6)
        legs += [rod((-x, y, s), (x, y, s), 0.011) for s in (-z, z)]
        legs.append(rod((0, y, -z), (0, y, z), 0.011))
    return legs


def _back(draw, level: float, depth: float, width: float, height: float, frame, seat) -> list:
    """What rises from the rear edge of the seat: one board, slats, spindles or a padded frame."""
    kind = draw.choice(["board", "padded", "ladder", "spindles", "shell"])
    lean, bend = draw.uniform(0.03, 0.16), draw.uniform(0, 0.08)
    x = -depth / 2 + 0.03
    if kind in ("board", "shell"):
        board = bent_board(
            (x, level - 0.03, 0), height, width, lean, bend + 0.08 * (kind == "shell"),
            draw.uniform(0.018, 0.035), draw.uniform(0.7, 1.1),
        )  # fmt: skip
        return [of.cover(board, frame if kind == "board" else seat)]
    post = draw.uniform(0.014, 0.022)
    paths = [
        curve(
            [
                (x, level - 0.05, s),
                (x - lean * 0.3, level + height / 2, s),
                (x - lean, level + height, s),
            ]
        )
        for s in (-width / 2 + 0.03, width / 2 - 0.03)
    ]
    parts = [of.cover(tube(path, post), frame) for path in paths]
    if kind == "padded":
        gap = draw.uniform(0.02, 0.35) * height
        pad = bent_board(
            (x + 0.01 - lean * 0.2, level + gap, 0), height - gap, width - 0.06, lean * 0.8, bend,
            draw.uniform(0.03, 0.06),
        )  # fmt: skip
        return [*parts, of.cover(pad, seat)]
    tall = 0.13 * height + 0.03
    top = bent_board(
        (x - lean * 0.9, level + height - tall, 0),
        tall,
        width - 0.02,
        0.1 * lean,
        bend * 0.4,
        0.025,
    )
    parts.append(of.cover(top, frame))
    count = int(draw.integers(2, 4)) if kind == "ladder" else int(draw.integers(4, 8))
    for i in range(count):
        if kind == "ladder":
            y = level + height * (0.12 + 0.62 * i / count)
            at = x - lean * ((y - level) / height) ** 1.3
            slat = bent_board((at, y, 0), 0.12 * height, width - 0.06, 0, bend * 0.5, 0.016)
        else:
            s = (width - 0.12) * ((i + 0.5) / count - 0.5)
            slat = rod(
                (x, level - 0.01, s), (x - lean * 0.9, level + height - tall * 0.6, s), 0.009
            )
        parts.append(of.cover(slat, frame))
    return parts


def _arms(draw, height: float, depth: float, width: float, frame, seat) -> list:
    y, rear, front = height + draw.uniform(0.17, 0.25), -depth / 2 - 0.02, depth / 2 - 0.06
    padded = draw.random() < 0.4
    parts = []
    for s in (-width / 2, width / 2):
        if padded:
            rest = block(((rear + front) / 2, y, s), (front - rear + 0.08, 0.05, 0.07), 0.02)
            parts.append(of.cover(rest, seat))
            parts.append(
                of.cover(rod((front - 0.04, height, s), (front - 0.04, y, s), 0.016), frame)
            )
        else:
            path = curve([(rear, y, s), (front - 0.05, y, s * 1.06), (front, y - 0.05, s * 1.06),
                          (front - 0.02, height - 0.02, s)], 30)  # fmt: skip
            parts.append(of.cover(tube(path, 0.017), frame))
    return parts


def sofa(draw: np.random.Generator) -> list:
    """Cushions between arms on a low base, for one to four, sometimes with a corner."""
    seats = int(draw.choice([1, 2, 2, 3, 3, 4]))
    each, depth, arm = draw.uniform(0.55, 0.72), draw.uniform(0.78, 0.98), draw.uniform(0.1, 0.26)
    width = seats * each
    level, back = draw.uniform(0.38, 0.46), draw.uniform(0.34, 0.52)
    foot = draw.uniform(0.03, 0.14)
    upholstery, legs = of.cloth(draw), of.wood(draw)
    cushions = upholstery if draw.random() < 0.6 else of.cloth(draw)
    base = level - 0.16 - foot
    soft = draw.uniform(0.02, 0.07)
    solids = [
        block((0, foot + base / 2, 0), (depth, base, width), 0.02),
        block(
            (-depth / 2 + 0.1, foot + (level + back - foot) / 2, 0),
            (0.2, level + back - foot, width), soft,
        ),
    ]  # fmt: skip
    tall = level + draw.uniform(0.1, 0.24) - foot
    rolled = draw.random() < 0.4
    for side in (-1, 1):
        z = side * (width + arm) / 2
        solids.append(block((0, foot + tall / 2, z), (depth, tall, arm), soft))
        if rolled:
            y = foot + tall
            roll = rod((-depth / 2, y, z), (depth / 2 + 0.01, y, z), arm * 0.62)
            solids.append(roll)
    pads = []
    for i in range(seats):
        z = each * (i + 0.5) - width / 2
        pads.append(block((0.09, level - 0.08, z), (depth - 0.18, 0.16, each - 0.01), 0.05))
        pillow = block((0, 0, 0), (0.17, back, each - 0.02), 0.07, 0.07)
        pads.append(moved(_leaned(pillow, 0.2), -depth / 2 + 0.27, level + back / 2, z))
    if seats >= 2 and draw.random() < 0.3:
        side, long = draw.choice([-1, 1]), draw.uniform(0.5, 0.7)
        z, x = side * (width - each) / 2, depth / 2 + long / 2 - 0.02
        solids.append(block((x, foot + base / 2, z), (long, base, each), 0.02))
        pads.append(block((x, level - 0.08, z), (long, 0.16, each - 0.01), 0.05))
    x, z = depth / 2 - 0.08, width / 2 + arm / 2 - 0.04
    feet = [
        block((sx * x, foot / 2, sz * z), (0.06, foot, 0.06), 0, 0.03, 0.6)
        for sx in (-1, 1) for sz in (-1, 1)
    ]  # fmt: skip
    return [
        *(of.cover(part, upholstery) for part in solids),
        *(of.cover(part, cushions) for part in pads),
        *(of.cover(part, legs) for part in feet),
    ]


def _leaned(triangles: np.ndarray, angle: float) -> np.ndarray:
    """A part tipped back, towards -x, by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return triangles @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T


def bench(draw: np.random.Generator) -> list:
    """A long seat of planks, or padded, mostly with a back; supports at the ends."""
    width, depth, height = draw.uniform(1.1, 1.9), draw.uniform(0.34, 0.5), draw.uniform(0.4, 0.48)
    slats, backed = draw.random() < 0.6, draw.random() < 0.65
    plank, support = of.wood(draw), draw.choice(["legs", "panels", "iron"])
    frame = of.pick(of.METALS, draw) if support == "iron" else plank
    parts, count = [], int(draw.integers(3, 6))
    if slats:
        for x in (np.arange(count) + 0.5) / count * depth - depth / 2:
            board = block((x, height, 0), (depth / count - 0.018, 0.035, width), 0.008)
            parts.append(of.cover(board, plank))
    else:
        thick = draw.uniform(0.05, 0.12)
        cover = of.cloth(draw) if draw.random() < 0.5 else plank
        parts.append(of.cover(block((0, height, 0), (depth, thick, width), 0.02), cover))
    x, z = depth / 2 - 0.04, width / 2 * draw.uniform(0.75, 0.95)
    lean, top = draw.uniform(0.06, 0.14), draw.uniform(0.32, 0.45)
    side = _bench_support(support, depth, height)
    if backed:
        post = [(-x, height), (-x - lean * 0.4, height + top / 2), (-x - lean, height + top)]
        side.append(tube(_upright(post), 0.03, rectangle(1.6, 1.6, 0.2)))
        if draw.random() < 0.5:
            elbow = height + top * 0.55
            arm = [
                (-x - lean * 0.4, elbow),
                (x - 0.06, elbow),
                (x, elbow - 0.06),
                (x - 0.02, height),
            ]
            side.append(tube(_upright(arm), 0.02))
    parts += [of.cover(moved(part, 0, 0, s), frame) for s in (-z, z) for part in side]
    if backed:
        for i in range(count - 1):
            y = height + top * (0.25 + 0.72 * i / (count - 1))
            at = -x + 0.03 - lean * ((y - height) / top) ** 1.3
            board = block((at, y, 0), (0.025, top * 0.6 / (count - 1), width), 0.006)
            parts.append(of.cover(board, plank))
    return parts


def _bench_support(kind: str, depth: float, height: float) -> list[np.ndarray]:
    """What carries one end of a bench."""
    x = depth / 2 - 0.04
    if kind == "panels":
        return [block((0, height / 2, 0), (depth, height, 0.05), 0.01)]
    if kind == "legs":
        return [block((s, height / 2, 0), (0.06, height, 0.06), 0, 0.01, 0.8) for s in (-x, x)]
    shoulder = height * 0.55
    arch = [(-x - 0.04, 0.015), (-x + 0.03, shoulder), (0, height * 0.72), (x - 0.03, shoulder),
            (x + 0.04, 0.015)]  # fmt: skip
    return [tube(_upright(arch), 0.022), rod((0, height * 0.7, 0), (0, height, 0), 0.022)]


def _upright(points) -> np.ndarray:
    """A smooth path through points (x, y) of the plane z = 0."""
    return curve([(x, y, 0) for x, y in points], 24)

"""Chairs, sofas and benches."""

import numpy as np

from data.builder.furniture import materials
from data.builder.furniture.materials import cover
from data.builder.furniture.parts import (
    bent_board,
    block,
    corners,
    lathe,
    rectangle,
    rod,
    side_path,
    smooth_path,
    spline_profile,
    square_legs,
    tilt_back,
    translate,
    tube,
)
from data.builder.mesh import Mesh


def chair(rng: np.random.Generator) -> list[Mesh]:
    """Sample a seat on legs, a pedestal or a sled, with a back and perhaps arms."""
    height, width = rng.uniform(0.4, 0.5), rng.uniform(0.42, 0.6)
    depth = width * rng.uniform(0.85, 1.05)
    sample_frame = [materials.wood, materials.metal, materials.paint]
    frame = sample_frame[rng.choice(3, p=[0.6, 0.2, 0.2])](rng)
    padded = rng.random() < 0.5
    seat = materials.cloth(rng) if padded else frame
    thickness = rng.uniform(0.05, 0.12) if padded else rng.uniform(0.025, 0.05)
    corner = rng.uniform(0.02, 0.2) * width
    board = block((0, height, 0), (depth, thickness, width), thickness * 0.4, corner)
    base = rng.choice(["legs", "legs", "turned", "splayed", "sled", "pedestal"])
    parts = cover(seat, board)
    parts += cover(frame, *_chair_base(rng, base, height - thickness / 2, depth, width))
    parts += _chair_back(rng, height + thickness / 2, depth, width, frame, seat)
    if rng.random() < 0.45:
        parts += _chair_arms(rng, height, depth, width, frame, seat)
    return parts


def _chair_base(rng, kind: str, height: float, depth: float, width: float) -> list[np.ndarray]:
    x, z = depth / 2 - 0.04, width / 2 - 0.04
    if kind == "pedestal":
        return _star_base(height, 0.48 * width)
    if kind == "sled":
        front = [(x - 0.05, 0.015), (x, 0.06), (x, height)]
        runner = [(-x, height), (-x, 0.06), (-x + 0.05, 0.015), *front]
        paths = [smooth_path([(px, py, side) for px, py in runner], 40) for side in (-z, z)]
        return [tube(path, 0.015) for path in paths]
    if kind == "turned":
        profile = spline_profile(rng.uniform(0.014, 0.032, 6), height)
        legs = [lathe((leg_x, 0, leg_z), profile) for leg_x, leg_z in corners(x, z)]
    else:
        side, taper = rng.uniform(0.03, 0.055), rng.uniform(0.5, 1)
        corner = side / 2 if rng.random() < 0.4 else 0.004
        splay = 0.09 if kind == "splayed" else 0
        legs = square_legs(corners(x, z), height, side, corner, taper, splay)
    if kind != "splayed" and rng.random() < 0.4:
        y = height * rng.uniform(0.3, 0.6)
        legs += [rod((-x, y, side), (x, y, side), 0.011) for side in (-z, z)]
        legs.append(rod((0, y, -z), (0, y, z), 0.011))
    return legs


def _star_base(height: float, radius: float) -> list[np.ndarray]:
    """Return the column and the five feet of an office chair."""
    parts = [lathe((0, 0.08, 0), spline_profile([0.03, 0.028, 0.045], height - 0.08))]
    caster = [(0.02, 0), (0.03, 0.02), (0.03, 0.04), (0.02, 0.06)]
    for angle in np.arange(5) * 2 * np.pi / 5:
        tip = radius * np.array([np.cos(angle), 0, np.sin(angle)])
        parts.append(rod((0, 0.11, 0), tuple(tip + np.array([0, 0.05, 0])), 0.02))
        parts.append(lathe(tip, caster))
    return parts


def _chair_back(rng, level: float, depth: float, width: float, frame, seat) -> list[Mesh]:
    """Sample a back that stands on `level`: a board, or posts with a pad, slats or spindles."""
    height = rng.uniform(0.38, 0.6)
    kind = rng.choice(["board", "padded", "ladder", "spindles", "shell"])
    lean, bend = rng.uniform(0.03, 0.16), rng.uniform(0, 0.08)
    x = -depth / 2 + 0.03
    if kind in ("board", "shell"):
        bend += 0.08 * (kind == "shell")
        thickness, taper = rng.uniform(0.018, 0.035), rng.uniform(0.7, 1.1)
        board = bent_board((x, level - 0.03, 0), (thickness, height, width), lean, bend, taper)
        return cover(frame if kind == "board" else seat, board)
    radius = rng.uniform(0.014, 0.022)
    parts = []
    for z in (-width / 2 + 0.03, width / 2 - 0.03):
        middle, top = (x - lean * 0.3, level + height / 2, z), (x - lean, level + height, z)
        parts += cover(frame, tube(smooth_path([(x, level - 0.05, z), middle, top]), radius))
    if kind == "padded":
        gap, thickness = rng.uniform(0.02, 0.35) * height, rng.uniform(0.03, 0.06)
        base = (x + 0.01 - lean * 0.2, level + gap, 0)
        pad = bent_board(base, (thickness, height - gap, width - 0.06), lean * 0.8, bend)
        return parts + cover(seat, pad)
    rail = 0.13 * height + 0.03
    base = (x - lean * 0.9, level + height - rail, 0)
    parts += cover(frame, bent_board(base, (0.025, rail, width - 0.02), 0.1 * lean, bend * 0.4))
    if kind == "ladder":
        return parts + cover(frame, *_slats(rng, (x, level), height, width, lean, bend))
    num_spindles = int(rng.integers(4, 8))
    for i in range(num_spindles):
        z = (width - 0.12) * ((i + 0.5) / num_spindles - 0.5)
        end = (x - lean * 0.9, level + height - rail * 0.6, z)
        parts += cover(frame, rod((x, level - 0.01, z), end, 0.009))
    return parts


def _slats(rng, base, height: float, width: float, lean: float, bend: float) -> list[np.ndarray]:
    """Sample two or three horizontal slats between posts that stand on `base` (x, y)."""
    num_slats = int(rng.integers(2, 4))
    slats = []
    for i in range(num_slats):
        y = base[1] + height * (0.12 + 0.62 * i / num_slats)
        x = base[0] - lean * ((y - base[1]) / height) ** 1.3
        slats.append(bent_board((x, y, 0), (0.016, 0.12 * height, width - 0.06), 0, bend * 0.5))
    return slats


def _chair_arms(rng, height: float, depth: float, width: float, frame, seat) -> list[Mesh]:
    y, rear, front = height + rng.uniform(0.17, 0.25), -depth / 2 - 0.02, depth / 2 - 0.06
    padded = rng.random() < 0.4
    parts = []
    for z in (-width / 2, width / 2):
        if padded:
            rest = block(((rear + front) / 2, y, z), (front - rear + 0.08, 0.05, 0.07), 0.02)
            post = rod((front - 0.04, height, z), (front - 0.04, y, z), 0.016)
            parts += cover(seat, rest) + cover(frame, post)
        else:
            arm = [(rear, y, z), (front - 0.05, y, z * 1.06), (front, y - 0.05, z * 1.06),
                   (front - 0.02, height - 0.02, z)]  # fmt: skip
            parts += cover(frame, tube(smooth_path(arm, 30), 0.017))
    return parts


def sofa(rng: np.random.Generator) -> list[Mesh]:
    """Sample cushions between arms on a low base for one to four, some with a chaise."""
    num_seats = int(rng.choice([1, 2, 2, 3, 3, 4]))
    seat_width, depth = rng.uniform(0.55, 0.72), rng.uniform(0.78, 0.98)
    arm, width = rng.uniform(0.1, 0.26), num_seats * seat_width
    level, back = rng.uniform(0.38, 0.46), rng.uniform(0.34, 0.52)
    foot = rng.uniform(0.03, 0.14)
    upholstery, legs = materials.cloth(rng), materials.wood(rng)
    cushions = upholstery if rng.random() < 0.6 else materials.cloth(rng)
    base = level - 0.16 - foot
    edge = rng.uniform(0.02, 0.07)
    rear_height = level + back - foot
    rear = block((-depth / 2 + 0.1, foot + rear_height / 2, 0), (0.2, rear_height, width), edge)
    body = [block((0, foot + base / 2, 0), (depth, base, width), 0.02), rear]
    body += _sofa_arms(rng, (foot, level), (depth, arm), (width + arm) / 2, edge)
    pads = []
    for i in range(num_seats):
        z = seat_width * (i + 0.5) - width / 2
        pads.append(block((0.09, level - 0.08, z), (depth - 0.18, 0.16, seat_width - 0.01), 0.05))
        pillow = tilt_back(block((0, 0, 0), (0.17, back, seat_width - 0.02), 0.07, 0.07), 0.2)
        pads.append(translate(pillow, (-depth / 2 + 0.27, level + back / 2, z)))
    if num_seats >= 2 and rng.random() < 0.3:
        side, length = rng.choice([-1, 1]), rng.uniform(0.5, 0.7)
        x, z = depth / 2 + length / 2 - 0.02, side * (width - seat_width) / 2
        body.append(block((x, foot + base / 2, z), (length, base, seat_width), 0.02))
        pads.append(block((x, level - 0.08, z), (length, 0.16, seat_width - 0.01), 0.05))
    x, z = depth / 2 - 0.08, width / 2 + arm / 2 - 0.04
    feet = square_legs(corners(x, z), foot, 0.06, 0.03, 0.6)
    return cover(upholstery, *body) + cover(cushions, *pads) + cover(legs, *feet)


def _sofa_arms(rng, levels, size, z: float, edge: float) -> list[np.ndarray]:
    """Sample arms of a size (x, z) at -z and z; `levels` are the base's and the seat's height."""
    (foot, level), (depth, width) = levels, size
    height = level + rng.uniform(0.1, 0.24) - foot
    rolled = rng.random() < 0.4
    parts = []
    for side in (-z, z):
        parts.append(block((0, foot + height / 2, side), (depth, height, width), edge))
        if rolled:
            y = foot + height
            parts.append(rod((-depth / 2, y, side), (depth / 2 + 0.01, y, side), width * 0.62))
    return parts


def bench(rng: np.random.Generator) -> list[Mesh]:
    """Sample a long seat of planks or a pad on supports at its ends, mostly with a back."""
    width, depth, height = rng.uniform(1.1, 1.9), rng.uniform(0.34, 0.5), rng.uniform(0.4, 0.48)
    slatted, has_back = rng.random() < 0.6, rng.random() < 0.65
    plank, support = materials.wood(rng), rng.choice(["legs", "panels", "iron"])
    frame = materials.metal(rng) if support == "iron" else plank
    num_slats = int(rng.integers(3, 6))
    parts = []
    if slatted:
        for x in (np.arange(num_slats) + 0.5) / num_slats * depth - depth / 2:
            slat = block((x, height, 0), (depth / num_slats - 0.018, 0.035, width), 0.008)
            parts += cover(plank, slat)
    else:
        thickness = rng.uniform(0.05, 0.12)
        seat = materials.cloth(rng) if rng.random() < 0.5 else plank
        parts += cover(seat, block((0, height, 0), (depth, thickness, width), 0.02))
    x, z = depth / 2 - 0.04, width / 2 * rng.uniform(0.75, 0.95)
    lean, top = rng.uniform(0.06, 0.14), rng.uniform(0.32, 0.45)
    side = _bench_support(support, depth, height)
    if has_back:
        post = [(-x, height), (-x - lean * 0.4, height + top / 2), (-x - lean, height + top)]
        side.append(tube(side_path(post), 0.03, rectangle(1.6, 1.6, 0.2)))
        if rng.random() < 0.5:
            y = height + top * 0.55
            arm = [(-x - lean * 0.4, y), (x - 0.06, y), (x, y - 0.06), (x - 0.02, height)]
            side.append(tube(side_path(arm), 0.02))
    for end in (-z, z):
        parts += cover(frame, *(translate(part, (0, 0, end)) for part in side))
    for i in range(num_slats - 1 if has_back else 0):
        y = height + top * (0.25 + 0.72 * i / (num_slats - 1))
        at = -x + 0.03 - lean * ((y - height) / top) ** 1.3
        slat = block((at, y, 0), (0.025, top * 0.6 / (num_slats - 1), width), 0.006)
        parts += cover(plank, slat)
    return parts


def _bench_support(kind: str, depth: float, height: float) -> list[np.ndarray]:
    """Return one end's support at z = 0."""
    x = depth / 2 - 0.04
    if kind == "panels":
        return [block((0, height / 2, 0), (depth, height, 0.05), 0.01)]
    if kind == "legs":
        return square_legs([(-x, 0), (x, 0)], height, 0.06, 0.01, 0.8)
    shoulder = height * 0.55
    arch = [(-x - 0.04, 0.015), (-x + 0.03, shoulder), (0, height * 0.72), (x - 0.03, shoulder),
            (x + 0.04, 0.015)]  # fmt: skip
    return [tube(side_path(arch), 0.022), rod((0, height * 0.7, 0), (0, height, 0), 0.022)]

"""The solids that furniture is made of, as triangles (T, 3, 3) in metres, y up."""

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

ROUND = 20  # corners of what stands for a circle
ARC = 4  # steps of a rounded edge


def moved(part: np.ndarray, x: float, y: float, z: float) -> np.ndarray:
    return part + np.array([x, y, z])


def loft(rings: np.ndarray) -> np.ndarray:
    """The solid between closed rings (K, N, 3) of corresponding points, N even, ends closed."""
    following = np.roll(rings, -1, axis=1)
    quads = [np.stack([rings[:-1], following[:-1], following[1:], rings[1:]], axis=2)]
    half = rings.shape[1] // 2
    for ring, order in ((rings[0], (0, 1, 2, 3)), (rings[-1], (3, 2, 1, 0))):
        there, back = ring[:half], ring[half:][::-1]
        strip = np.stack([there[:-1], back[:-1], back[1:], there[1:]], axis=1)
        quads.append(strip[:, order])
    quads = np.concatenate([quad.reshape(-1, 4, 3) for quad in quads])
    return quads[:, [[0, 2, 1], [0, 3, 2]]].reshape(-1, 3, 3)


def rectangle(depth: float, width: float, radius: float) -> np.ndarray:
    """A rectangle (N, 2) with rounded corners, depth along x and width along z."""
    radius = min(radius, depth / 2, width / 2)
    angles = np.linspace(0, np.pi / 2, ARC + 1)
    arcs = [
        np.stack(
            [
                sx * (depth / 2 - radius) + radius * np.cos(angles + turn),
                sz * (width / 2 - radius) + radius * np.sin(angles + turn),
            ],
            axis=1,
        )
        for sx, sz, turn in (
            (1, 1, 0),
            (-1, 1, np.pi / 2),
            (-1, -1, np.pi),
            (1, -1, 1.5 * np.pi),
        )
    ]
    return np.concatenate(arcs)


def circle(radius: float) -> np.ndarray:
    """A circle (N, 2) in the xz plane."""
    angles = np.arange(ROUND) * 2 * np.pi / ROUND
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def block(
    centre, size, edge: float = 0.0, corner: float | None = None, taper: float = 1.0, foot=(0, 0)
) -> np.ndarray:
    """A box of a size (x, y, z) whose middle is at `centre`.

    `edge` rounds its upper and lower edges and `corner` (as much, unless given) its upright ones.
    The lower face is `taper` times the upper one and shifted by `foot` (x, z).
    """
    depth, height, width = size
    edge = min(edge, height / 2, depth / 2, width / 2)
    corner = edge if corner is None else corner
    angles = np.linspace(0, np.pi / 2, ARC + 1 if edge else 1)
    steps = np.stack([edge * (1 - np.sin(angles)), edge * (1 - np.cos(angles))], axis=1)
    ends = [(inset, -height / 2 + rise) for inset, rise in steps]
    ends += [(inset, -y) for inset, y in reversed(ends)]
    rings = []
    for inset, y in ends:
        flat = rectangle(depth - 2 * inset, width - 2 * inset, corner - inset if corner else 0)
        below = 0.5 - y / height
        flat = flat * (1 + (taper - 1) * below) + np.array(foot) * below
        rings.append(np.stack([flat[:, 0], np.full(len(flat), y), flat[:, 1]], axis=1))
    return loft(np.array(rings)) + np.asarray(centre)


def turned(base, profile) -> np.ndarray:
    """What a lathe makes: circles of (radius, height) stacked up from the point `base`."""
    rings = [np.insert(circle(radius), 1, height, axis=1) for radius, height in profile]
    return loft(np.array(rings)) + np.asarray(base)


def bulging(radii, height: float, count: int = 14) -> list[tuple[float, float]]:
    """A smooth profile through radii at equal heights, for `turned`."""
    spline = CubicSpline(np.linspace(0, height, len(radii)), radii)
    heights = np.linspace(0, height, count)
    return [(max(float(spline(y)), 0.3 * min(radii)), y) for y in heights]


def curve(points, count: int = 16) -> np.ndarray:
    """A smooth path (count, 3) through points (K, 3), never beyond the box around two of them."""
    points = np.asarray(points, float)
    places = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return PchipInterpolator(places, points)(np.linspace(0, places[-1], count))


def tube(path, radius: float, section: np.ndarray | None = None) -> np.ndarray:
    """A bar along a path (K, 3): round, or of another `section` (N, 2) of radius 1."""
    path = np.asarray(path, float)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along[0], [0, 1, 0] if abs(along[0, 1]) < 0.9 else [1, 0, 0])
    section = circle(1) if section is None else section
    rings = []
    for point, direction in zip(path, along, strict=True):
        side = side - direction * (side @ direction)  # the frame follows the path without a twist
        side /= np.linalg.norm(side)
        frame = np.stack([side, np.cross(side, direction)])
        rings.append(point + radius * section @ frame)
    return loft(np.array(rings))


def rod(start, end, radius: float) -> np.ndarray:
    """A straight round bar."""
    return tube([start, end], radius)


def panel(grid: np.ndarray, thickness: float) -> np.ndarray:
    """A bent board about a grid of points (M, N, 3)."""
    down, across = np.gradient(grid, axis=0), np.gradient(grid, axis=1)
    normal = np.cross(down, across)
    normal *= thickness / 2 / np.linalg.norm(normal, axis=2, keepdims=True)
    return loft(np.concatenate([grid + normal, (grid - normal)[:, ::-1]], axis=1))


def bent_board(
    base, height: float, width: float, lean: float, bend: float, thickness: float, shrink=1.0
) -> np.ndarray:
    """A back rest: a board that stands on `base`, leans to -x and wraps around a sitter.

    Its upper end is `lean` behind the lower one, its sides are `bend` before its middle, and it is
    `shrink` times as wide above as below.
    """
    up, across = np.meshgrid(np.linspace(0, 1, 9), np.linspace(-1, 1, 11), indexing="ij")
    x = bend * across**2 - lean * up**1.3
    z = across * width / 2 * (1 + (shrink - 1) * up**2)
    return panel(np.stack([x, up * height, z], axis=2) + np.asarray(base), thickness)

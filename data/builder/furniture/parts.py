"""Solids that furniture is made of, as triangles (T, 3, 3) in meters, y up, front towards +x."""

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

CIRCLE_POINTS = 20
ARC_STEPS = 4  # a rounded edge has as many segments


def circle(radius: float) -> np.ndarray:
    """Return a circle (N, 2) in the xz plane."""
    angles = np.arange(CIRCLE_POINTS) * 2 * np.pi / CIRCLE_POINTS
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def rectangle(depth: float, width: float, radius: float) -> np.ndarray:
    """Return a rectangle (N, 2) with rounded corners, depth along x and width along z."""
    radius = min(radius, depth / 2, width / 2)
    angles = np.linspace(0, np.pi / 2, ARC_STEPS + 1)
    arcs = []
    for i, (sx, sz) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        x = sx * (depth / 2 - radius) + radius * np.cos(angles + i * np.pi / 2)
        z = sz * (width / 2 - radius) + radius * np.sin(angles + i * np.pi / 2)
        arcs.append(np.stack([x, z], axis=1))
    return np.concatenate(arcs)


def loft(rings: np.ndarray) -> np.ndarray:
    """Join closed rings (K, N, 3) of corresponding points, N even, to a solid with closed ends."""
    following = np.roll(rings, -1, axis=1)
    quads = [np.stack([rings[:-1], following[:-1], following[1:], rings[1:]], axis=2)]
    half = rings.shape[1] // 2
    for ring, order in ((rings[0], (0, 1, 2, 3)), (rings[-1], (3, 2, 1, 0))):
        there, back = ring[:half], ring[half:][::-1]
        strip = np.stack([there[:-1], back[:-1], back[1:], there[1:]], axis=1)
        quads.append(strip[:, order])
    quads = np.concatenate([quad.reshape(-1, 4, 3) for quad in quads])
    return quads[:, [[0, 2, 1], [0, 3, 2]]].reshape(-1, 3, 3)


def block(
    center, size, edge: float = 0.0, corner: float | None = None, taper: float = 1.0, foot=(0, 0)
) -> np.ndarray:
    """Return a box of a size (x, y, z).

    `edge` rounds the horizontal edges and `corner` (default: as much) the upright ones. The lower
    face is `taper` times the upper one and shifted by `foot` (x, z).
    """
    depth, height, width = size
    edge = min(edge, height / 2, depth / 2, width / 2)
    corner = edge if corner is None else corner
    angles = np.linspace(0, np.pi / 2, ARC_STEPS + 1 if edge else 1)
    steps = np.stack([edge * (1 - np.sin(angles)), edge * (1 - np.cos(angles))], axis=1)
    levels = [(inset, -height / 2 + rise) for inset, rise in steps]
    levels += [(inset, -y) for inset, y in reversed(levels)]
    rings = []
    for inset, y in levels:
        ring = rectangle(depth - 2 * inset, width - 2 * inset, corner - inset if corner else 0)
        below = 0.5 - y / height  # 0 at the top, 1 at the bottom
        ring = ring * (1 + (taper - 1) * below) + np.array(foot) * below
        rings.append(np.stack([ring[:, 0], np.full(len(ring), y), ring[:, 1]], axis=1))
    return translate(loft(np.array(rings)), center)


def lathe(base, profile) -> np.ndarray:
    """Stack circles of (radius, height) up from the point `base`."""
    rings = [np.insert(circle(radius), 1, height, axis=1) for radius, height in profile]
    return translate(loft(np.array(rings)), base)


def lathe_shell(profile, thickness: float) -> np.ndarray:
    """Return a wall with circular cross section that is open above and below."""
    inner = [(radius - thickness, height) for radius, height in reversed(profile)]
    closed = lathe((0, 0, 0), [*profile, *inner, profile[0]])
    return closed[: -2 * (CIRCLE_POINTS - 2)]  # without lids: the first ring is also the last


def spline_profile(radii, height: float, num_points: int = 14) -> list[tuple[float, float]]:
    """Return a smooth profile for `lathe` through radii at equal distances."""
    spline = CubicSpline(np.linspace(0, height, len(radii)), radii)
    heights = np.linspace(0, height, num_points)
    return [(max(float(spline(y)), 0.3 * min(radii)), y) for y in heights]


def smooth_path(points, num_points: int = 16) -> np.ndarray:
    """Return a path (num_points, 3) through points (K, 3) that does not overshoot them."""
    points = np.asarray(points, float)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    positions = np.concatenate([[0], np.cumsum(lengths)])
    return PchipInterpolator(positions, points)(np.linspace(0, positions[-1], num_points))


def side_path(points) -> np.ndarray:
    """Return a smooth path (24, 3) through points (x, y) in the plane z = 0."""
    return smooth_path([(x, y, 0) for x, y in points], 24)


def tube(path, radius: float, section: np.ndarray | None = None) -> np.ndarray:
    """Return a bar along a path (K, 3): round, or of another `section` (N, 2) of radius 1."""
    path = np.asarray(path, float)
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.cross(tangents[0], [0, 1, 0] if abs(tangents[0, 1]) < 0.9 else [1, 0, 0])
    section = circle(1) if section is None else section
    rings = []
    for point, tangent in zip(path, tangents, strict=True):
        side = side - tangent * (side @ tangent)  # the frame follows the path without a twist
        side /= np.linalg.norm(side)
        frame = np.stack([side, np.cross(side, tangent)])
        rings.append(point + radius * section @ frame)
    return loft(np.array(rings))


def rod(start, end, radius: float) -> np.ndarray:
    """Return a straight round bar."""
    return tube([start, end], radius)


def bent_board(base, size, lean: float, bend: float, taper: float = 1.0) -> np.ndarray:
    """Return a back rest of a size (x, y, z) on `base` that leans to -x around the sitter.

    Its upper end is `lean` behind the lower one, its sides are `bend` before its middle, and it is
    `taper` times as wide at the top as at the bottom.
    """
    thickness, height, width = size
    up, across = np.meshgrid(np.linspace(0, 1, 9), np.linspace(-1, 1, 11), indexing="ij")
    x = bend * across**2 - lean * up**1.3
    z = across * width / 2 * (1 + (taper - 1) * up**2)
    grid = np.stack([x, up * height, z], axis=2) + np.asarray(base)
    normal = np.cross(np.gradient(grid, axis=0), np.gradient(grid, axis=1))
    normal *= thickness / 2 / np.linalg.norm(normal, axis=2, keepdims=True)
    return loft(np.concatenate([grid + normal, (grid - normal)[:, ::-1]], axis=1))


def translate(part: np.ndarray, offset) -> np.ndarray:
    return part + np.asarray(offset)


def tilt_back(part: np.ndarray, angle: float) -> np.ndarray:
    """Rotate a part about z towards -x by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return part @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T


def face_front(part: np.ndarray) -> np.ndarray:
    """Exchange x and y: the top of a part becomes its front."""
    return part[..., [1, 0, 2]]


def corners(x: float, z: float) -> list[tuple[float, float]]:
    """Return the (x, z) of four legs."""
    return [(-x, -z), (-x, z), (x, -z), (x, z)]


def square_legs(
    places, height: float, side: float, corner: float, taper: float, splay: float = 0
) -> list[np.ndarray]:
    """Return a leg at each of `places` (x, z), whose foot is `splay` farther from the middle."""
    legs = []
    for x, z in places:
        foot = (splay * np.sign(x), splay * np.sign(z))
        legs.append(block((x, height / 2, z), (side, height, side), 0, corner, taper, foot))
    return legs

"""PLY, the Stanford polygon format: polygons, triangle strips, colors and textures."""

import numpy as np

from data.builder.mesh import GRAY, Mesh, Texture, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.ply_file import Element, read_elements, read_header
from data.builder.readers.polygons import check_corners, triangulate

COLOR_NAMES = [
    ("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b")
]  # fmt: skip
UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


def read_ply(content: bytes, assets: Assets) -> list[Mesh]:
    """Read a PLY file."""
    order, elements, image_names, body = read_header(content)
    read_elements(body, order, elements)
    vertex = elements["vertex"].values
    if ("face" not in elements and "tristrips" not in elements) or not vertex:
        return []
    points = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(float)
    corners, sizes, faces = _polygons(elements, len(points))
    triangles, polygons = triangulate(points[corners], sizes)
    index = corners[triangles]  # (T, 3) vertices
    colors = _colors(elements["vertex"])
    if colors is not None:
        colors = colors[index]
    elif (face_colors := _colors(elements.get("face"))) is not None and len(faces):
        colors = np.repeat(face_colors[faces[polygons], None], 3, axis=1)
    normals = None
    if all(name in vertex for name in ("nx", "ny", "nz")):
        normals = np.stack([vertex[name] for name in ("nx", "ny", "nz")], axis=1)[index]
    uv, image = _uv(elements, index, triangles, faces[polygons], np.cumsum(sizes) - sizes)
    meshes = []
    for i in np.unique(image):
        where = image == i
        pixels = assets.get_image(image_names[i]) if 0 <= i < len(image_names) else None
        texture = None if pixels is None or uv is None else Texture(pixels)
        base = np.uint8([255] * 4)  # a texture takes the place of the colors
        if texture is None:
            base = np.uint8(GRAY) if colors is None else colors
        part = [None if a is None else a[where] for a in (normals, uv)]
        meshes.append(
            make_mesh(points[index[where]], base[where] if base.ndim > 1 else base, *part, texture)
        )
    return meshes


def _polygons(elements: dict[str, Element], num_points: int) -> tuple[np.ndarray, ...]:
    """Return the vertices of all corners, the sizes of the polygons and their faces, -1 for none.

    Triangle strips, a row each or separated by -1, follow the faces.
    """
    empty = (np.zeros(0, int), np.zeros(0, int))
    face = elements["face"].values if "face" in elements else {}
    corners, sizes = face.get("vertex_indices", face.get("vertex_index", empty))
    faces = np.arange(len(sizes))
    if "tristrips" in elements:
        strip, lengths = next(iter(elements["tristrips"].values.values()), empty)
        strip = np.insert(strip.astype(int), np.cumsum(lengths), -1)
        triples = np.stack([strip[:-2], strip[1:-1], strip[2:]], axis=1)
        position = np.arange(len(strip))  # within its own strip
        position -= np.maximum.accumulate(np.where(strip < 0, position + 1, 0))
        odd = position[: len(triples)] % 2 == 1
        triples[odd] = triples[odd][:, [1, 0, 2]]
        triples = triples[(triples >= 0).all(1)]
        corners = np.concatenate([corners, triples.ravel()])
        sizes = np.concatenate([sizes, np.full(len(triples), 3)])
        faces = np.concatenate([faces, np.full(len(triples), -1)])
    corners = corners.astype(int)
    check_corners(corners, num_points)
    return corners, sizes, faces


def _colors(element: Element | None) -> np.ndarray | None:
    """Return the RGBA (count, 4) in [0, 255] of an element that has colors."""
    for names in COLOR_NAMES:
        if element and all(name in element.values for name in names):
            code = element.types[names[0]][0]
            rgb = np.stack([element.values[name] for name in names], axis=1).astype(float)
            is_unit = code[0] == "f" and rgb.max(initial=0) <= 1
            largest = 65535 if code == "u2" else 1 if is_unit else 255
            return np.insert(np.rint(np.clip(rgb / largest, 0, 1) * 255), 3, 255, axis=1)
    return None


def _uv(elements, index, triangles, faces, starts) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the uv (T, 3, 2) of triangles and the numbers (T,) of their textures."""
    image = np.zeros(len(index), int)
    vertex = elements["vertex"].values
    for names in UV_NAMES:
        if all(name in vertex for name in names):
            return np.stack([vertex[name] for name in names], axis=1)[index], image
    face = elements["face"].values if "face" in elements else {}
    if "texcoord" not in face or not len(index) or faces.min() < 0:
        return None, image
    values, lengths = face["texcoord"]  # u and v of each corner of each face
    first = np.cumsum(lengths) - lengths
    position = first[faces][:, None] + 2 * (triangles - starts[faces][:, None])
    has_uv = (lengths[faces] > 0)[:, None] & (position + 1 < len(values))
    position = np.where(has_uv, position, 0)
    uv = np.stack([values[position], values[position + 1]], axis=2) if len(values) > 1 else None
    if "texnumber" in face:
        image = np.asarray(face["texnumber"])[faces].astype(int)
    return uv, np.where(has_uv.all(1), image, -1)

"""Wavefront OBJ."""

import re

import numpy as np

from data.builder.mesh import Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.mtl import MtlMaterial, read_materials
from data.builder.readers.polygons import check_num_faces, triangulate
from data.builder.readers.text import parse_numbers, parse_rows, split_keyword, split_lines
from utils.errors import InputError

MAX_LIBRARIES = 100  # looking for a missing one lists folders
BARE_COMMENT = re.compile(r"(?<!1\.)#.*")  # behind numbers, but not 1.#QNAN


class _Obj:
    """The statements of an OBJ file."""

    def __init__(self, lines: list[str]):
        self.rows: dict[str, list[str]] = {"v": [], "vt": [], "vn": []}
        self.faces: list[str] = []
        self.counts: dict[int, list[int]] = {}  # of rows above a face with negative indices
        self.face_material: list[int] = []
        self.materials: dict[str, int] = {"": 0}  # names by the order of their use
        self.libraries: dict[str, None] = {}  # in order
        material = 0
        for line in lines:
            keyword, _, rest = line.partition(" ")
            keyword = keyword.lower()
            if "#" in rest:
                is_number = keyword in ("v", "vt", "vn", "f", "fo")
                rest = BARE_COMMENT.sub("", rest).rstrip() if is_number else split_keyword(line)[1]
            if keyword in self.rows:
                self.rows[keyword].append(rest)
            elif keyword in ("f", "fo"):
                if "-" in rest:
                    self.counts[len(self.faces)] = [len(rows) for rows in self.rows.values()]
                self.faces.append(rest)
                self.face_material.append(material)
            elif keyword == "usemtl":
                material = self.materials.setdefault(rest, len(self.materials))
            elif keyword == "mtllib" and rest:
                self.libraries[rest] = None

    def numbers(self, keyword: str, size: int) -> np.ndarray | list[np.ndarray]:
        """Return the numbers of all rows of a keyword, at least `size` in each."""
        try:
            rows = parse_rows(self.rows[keyword])
        except ValueError as error:
            raise InputError(f"expected numbers behind '{keyword}': {error}") from error
        shortest = min(map(len, rows), default=size)
        if shortest < size:
            raise InputError(f"expected {size} numbers behind '{keyword}', got {shortest}")
        return rows

    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners (C, 3) of all faces, indices of vertex, uv and normal or -1.

        Also returns the number of corners (F,) of each face.
        """
        sizes = np.array([len(face.split()) for face in self.faces], int)
        check_num_faces(max(len(sizes), int((sizes - 2).sum())))
        indices = _parse_corners(" ".join(self.faces).split())
        corners = np.where(indices > 0, indices - 1, -1)
        ends = np.cumsum(sizes)
        for i, counts in self.counts.items():
            face = slice(ends[i] - sizes[i], ends[i])
            relative = indices[face] + counts
            corners[face] = np.where(indices[face] < 0, np.maximum(relative, -1), corners[face])
        if len(corners) and corners[:, 0].min() < 0:
            raise InputError("expected vertices of faces, got an index of none")
        return corners, sizes


def _parse_corners(words: list[str]) -> np.ndarray:
    """Return the indices (C, 3) of words like 1, 1/2, 1//3 and 1/2/3, 0 for none."""
    indices = np.zeros((len(words), 3), int)
    try:
        slashes = {word.count("/") for word in words}
        if len(slashes) == 1 and max(slashes) <= 2:
            numbers = parse_numbers(" ".join(words).replace("//", "/0/").replace("/", " "))
            is_whole = (numbers == np.rint(numbers)).all()
            if is_whole and len(numbers) == len(words) * (max(slashes) + 1):
                indices[:, : max(slashes) + 1] = numbers.reshape(len(words), -1)
                return indices
        for i, word in enumerate(words):
            parts = word.split("/")[:3]
            indices[i, : len(parts)] = [int(part or 0) for part in parts]
    except ValueError as error:
        raise InputError(f"expected indices behind 'f': {error}") from error
    return indices


def read_obj(content: bytes, assets: Assets) -> list[Mesh]:
    """Read an OBJ file, one mesh a material."""
    obj = _Obj(split_lines(content))
    rows = obj.numbers("v", 3)
    vertices = _first_columns(rows, 3)
    uvs = _first_columns(obj.numbers("vt", 1), 2)
    normals = _first_columns(obj.numbers("vn", 3), 3)
    corners, sizes = obj.corners()
    if len(corners) and corners[:, 0].max() >= len(vertices):
        raise InputError(f"expected vertices up to {len(vertices)}, got {corners[:, 0].max() + 1}")
    for column, table in ((1, uvs), (2, normals)):
        corners[corners[:, column] >= len(table), column] = -1
    triangles, faces = triangulate(vertices[corners[:, 0]], sizes)
    triangle_material = np.array(obj.face_material, int)[faces]
    materials = _find_materials(obj, assets)
    materials_any_case = {key.casefold(): value for key, value in reversed(materials.items())}
    colors = _vertex_colors(rows)
    meshes = []
    for name, i in obj.materials.items():
        vertex, uv, normal = np.moveaxis(corners[triangles[triangle_material == i]], 2, 0)
        if not len(vertex):
            continue
        material = materials.get(name) or materials_any_case.get(name.casefold()) or MtlMaterial()
        material.load_texture(assets)  # only here, as a library may have many unused materials
        rgba = material.rgba
        if not rgba[3]:
            continue  # invisible
        if colors is not None:
            is_plain = material.color is None and material.texture is None
            rgba[:3] = 255 if is_plain else rgba[:3]
            rgba = np.rint(colors[vertex] * rgba)
        part_uv = uvs[uv] * material.scale + material.offset if len(uvs) else None
        part_normals = normals[normal] if len(normals) and normal.min() >= 0 else None
        meshes.append(make_mesh(vertices[vertex], rgba, part_normals, part_uv, material.texture))
    return meshes


def _first_columns(rows: np.ndarray | list[np.ndarray], num: int) -> np.ndarray:
    """Return the first numbers (N, num) of rows, 0 where a row is shorter."""
    if isinstance(rows, np.ndarray) and rows.shape[1] >= num:
        return rows[:, :num]
    table = np.zeros((len(rows), num))
    for i, row in enumerate(rows):
        table[i, : len(row)] = row[:num]
    return table


def _vertex_colors(rows: list[np.ndarray]) -> np.ndarray | None:
    """Return RGBA (N, 4) in [0, 1] where rows have colors behind x y z or x y z w."""
    colored = [i for i, row in enumerate(rows) if len(row) >= 6]
    if not colored:
        return None
    colors = np.ones((len(rows), 4))
    rgb = np.array([rows[i][-3:] for i in colored])
    rgb = np.where(np.isfinite(rgb), rgb, 1)
    colors[colored, :3] = np.clip(rgb / (255 if rgb.max() > 1 else 1), 0, 1)
    return colors


def _find_materials(obj: _Obj, assets: Assets) -> dict[str, MtlMaterial]:
    """Return the used materials of all libraries by their name."""
    materials: dict[str, MtlMaterial] = {}
    used = {name.casefold() for name in obj.materials}
    num_libraries = 0
    for library in obj.libraries:
        content = assets.find(library.strip('"'))
        has_one_name = content is not None or " " not in library
        names = [library] if has_one_name else re.findall(r'"[^"]+"|\S+', library)
        num_libraries += len(names)
        if num_libraries > MAX_LIBRARIES:
            raise InputError(f"expected at most {MAX_LIBRARIES} material libraries, got more")
        for name in names:
            name = name.strip('"').replace("\\", "/")
            content = assets.get(name)
            if content is not None:
                found = read_materials(content, used, name.rpartition("/")[0])
                materials = found | materials
    return materials

"""Wavefront OBJ."""

import re
from functools import cache
from pathlib import PurePath

import numpy as np

from data.builder.mesh import Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.mtl import make_material, read_materials
from data.builder.readers.polygons import corner_points, triangulate
from data.builder.readers.text import parse_table, split_keyword, split_lines

WHITE = (255, 255, 255)


class _Obj:
    """The statements of an OBJ file."""

    def __init__(self, content: bytes):
        self.rows: dict[str, list[str]] = {"v": [], "vt": [], "vn": []}
        self.corners: list[tuple[int, int, int]] = []  # vertex, uv and normal, -1 for none
        self.sizes: list[int] = []
        self.face_material: list[int] = []
        self.materials: dict[str, int] = {"": 0}  # names by the order of their use
        self.libraries: list[str] = []
        material, parse = 0, cache(_parse_corner)
        for line in split_lines(content):
            keyword, rest = split_keyword(line)
            if keyword in self.rows:
                self.rows[keyword].append(rest)
            elif keyword in ("f", "fo"):
                words = rest.partition("#")[0].split()
                counts = [len(rows) for rows in self.rows.values()] if "-" in rest else (0, 0, 0)
                self.corners += [parse(word, *counts) for word in words]
                self.sizes.append(len(words))
                self.face_material.append(material)
            elif keyword == "usemtl":
                material = self.materials.setdefault(rest, len(self.materials))
            elif keyword == "mtllib":
                self.libraries.append(rest)


def _parse_corner(word: str, *counts: int) -> tuple[int, ...]:
    """Return the indices of a word such as 1, 1/2, 1//3 and 1/2/3, which count from 1.

    Negative ones count from the end of the rows so far, `counts` of each kind.
    """
    indices = [int(part) if part else 0 for part in word.split("/")] + [0, 0]
    pairs = zip(indices, counts, strict=False)
    return tuple(i - 1 if i >= 0 else max(count + i, -1) for i, count in pairs)


def read_obj(content: bytes, assets: Assets, name: str) -> list[Mesh]:
    """Read an OBJ file, one mesh a material."""
    obj = _Obj(content)
    vertices, uvs, normals = (
        parse_table(obj.rows[keyword], size) for keyword, size in (("v", 3), ("vt", 2), ("vn", 3))
    )
    corners = np.array(obj.corners, int).reshape(-1, 3)
    points = corner_points(vertices[:, :3], corners[:, 0])
    triangles, faces = triangulate(points, obj.sizes)
    triangle_material = np.array(obj.face_material, int)[faces]

    colors = _vertex_colors(vertices)
    libraries = _read_libraries(obj, assets, name)
    any_case = {key.casefold(): value for key, value in reversed(libraries.items())}
    meshes = []
    for key, i in obj.materials.items():
        part = triangles[triangle_material == i]
        if not len(part):
            continue
        statements, folder = libraries.get(key) or any_case.get(key.casefold()) or ({}, "")
        material = make_material(statements, folder, assets)
        vertex, uv, normal = np.moveaxis(corners[part], 2, 0)
        rgba = material.rgba
        if colors is not None:
            rgba = np.rint(colors[vertex] * (rgba if material.has_color else [*WHITE, rgba[3]]))
        part_uv = _take(uvs, uv)[..., :2] * material.scale + material.offset
        meshes.append(
            make_mesh(points[part], rgba, _take(normals, normal), part_uv, material.texture)
        )
    return meshes


def _take(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the rows of a table at indices, zeros at those that it does not have."""
    return np.vstack([table, np.zeros(table.shape[1])])[np.where(index < len(table), index, -1)]


def _vertex_colors(vertices: np.ndarray) -> np.ndarray | None:
    """Return RGBA (N, 4) in [0, 1] where rows have colors behind x y z or x y z w."""
    if vertices.shape[1] < 6:
        return None
    rgb = vertices[:, -3:]
    rgb = np.where(np.isfinite(rgb), rgb / (255 if np.nanmax(rgb) > 1 else 1), 1)
    return np.insert(np.clip(rgb, 0, 1), 3, 1, axis=1)


def _read_libraries(obj: _Obj, assets: Assets, name: str) -> dict[str, tuple[dict, str]]:
    """Return the statements and the folder of all materials by their name.

    Where no library is found, one that is named as the mesh is taken: a mesh can be renamed.
    """
    contents = {}
    for library in obj.libraries:
        is_one_name = " " not in library or assets.find(library.strip('"')) is not None
        for file in [library] if is_one_name else re.findall(r'"[^"]+"|\S+', library):
            file = file.strip('"').replace("\\", "/")
            contents[file] = assets.get(file)
    if not any(contents.values()):
        file = f"{PurePath(name).stem}.mtl"
        contents[file] = assets.find(file)
        if obj.libraries and contents[file]:
            assets.note(f"{file} is taken instead of {obj.libraries[0]}")
    materials: dict[str, tuple[dict, str]] = {}
    for file, content in contents.items():
        found = read_materials(content or b"")
        folder = file.rpartition("/")[0]
        materials = {key: (value, folder) for key, value in found.items()} | materials
    return materials

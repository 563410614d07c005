"""Wavefront OBJ."""

import numpy as np

from data.builder.mesh import Mesh, make_mesh
from data.builder.readers.assets import Assets
from data.builder.readers.mtl import Material, read_materials
from data.builder.readers.polygons import triangulate
from data.builder.readers.text import split_keyword, split_lines
from utils.errors import InputError

SIZES = {"v": 3, "vt": 2, "vn": 3}


class _Obj:
    """The statements of an OBJ file."""

    def __init__(self):
        self.rows: dict[str, list] = {"v": [], "vt": [], "vn": []}
        self.colors: dict[int, list[float]] = {}  # of vertices
        self.corners: list[tuple[int, int, int]] = []  # vertex, uv, normal; -1 for none
        self.sizes: list[int] = []  # corners of each face
        self.materials: list[str] = []  # of each face
        self.libraries: list[str] = []
        self.material = ""

    def read(self, lines: list[str]) -> None:
        for i, line in enumerate(lines, start=1):
            keyword, rest = split_keyword(line)
            try:
                if keyword in SIZES:
                    self._add_row(keyword, rest.split())
                elif keyword in ("f", "fo"):
                    self._add_face(rest.split())
                elif keyword == "usemtl":
                    self.material = rest
                elif keyword == "mtllib" and rest and rest not in self.libraries:
                    self.libraries.append(rest)
            except (ValueError, IndexError):
                raise InputError(f"line {i}: cannot be read: {line.strip()[:60]!r}") from None

    def _add_row(self, keyword: str, words: list[str]) -> None:
        size = SIZES[keyword]
        values = [float(word) for word in words]
        if keyword == "v" and len(values) >= 6:
            self.colors[len(self.rows["v"])] = values[-3:]
        if keyword == "vt":
            values = [*values, 0.0]  # v may be left out
        if len(values) < size:
            raise ValueError
        self.rows[keyword].append(values[:size])

    def _add_face(self, words: list[str]) -> None:
        counts = [len(rows) for rows in self.rows.values()]
        for word in words:
            indices = [-1, -1, -1]
            for j, part in enumerate(word.split("/")[:3]):
                if part:
                    index = int(part)
                    indices[j] = index - 1 if index > 0 else counts[j] + index
                    if index == 0 or indices[j] < 0:
                        raise ValueError
            if indices[0] < 0:
                raise ValueError
            self.corners.append(tuple(indices))
        self.sizes.append(len(words))
        self.materials.append(self.material)


def read_obj(content: bytes, assets: Assets) -> list[Mesh]:
    """Read an OBJ file, one mesh a material."""
    obj = _Obj()
    obj.read(split_lines(content))
    vertices, uvs, normals = (
        np.array(obj.rows[key], float).reshape(-1, SIZES[key]) for key in SIZES
    )
    corners = np.array(obj.corners, int).reshape(-1, 3)
    for column, rows in ((1, uvs), (2, normals)):
        corners[corners[:, column] >= len(rows), column] = -1  # as if it had none
    if len(corners) and corners[:, 0].max() >= len(vertices):
        raise InputError(f"expected vertices up to {len(vertices)}, got {corners[:, 0].max() + 1}")
    colors = np.full((len(vertices), 3), 1.0)
    if obj.colors:
        values = np.array(list(obj.colors.values()))
        values = np.where(np.isfinite(values), values, 1)
        colors[list(obj.colors)] = values / (255 if values.max() > 1 else 1)
    triangles, faces = triangulate(vertices[corners[:, 0]], obj.sizes)
    materials = _find_materials(obj, assets)
    names, face_material = np.unique(
        np.array(obj.materials, object).astype(str), return_inverse=True
    )
    first = [np.flatnonzero(face_material == i)[0] for i in range(len(names))]
    meshes = []
    for i in np.argsort(first):  # in the order of use
        vertex, uv, normal = np.moveaxis(corners[triangles[face_material[faces] == i]], 2, 0)
        material = materials.get(names[i].casefold(), Material())
        base = material.rgba
        if material.color is None and material.texture is None and obj.colors:
            base = np.uint8([255] * 4)  # vertex colors alone
        rgba = np.insert(np.clip(colors[vertex], 0, 1) * base[:3], 3, 255, axis=2)
        meshes.append(
            make_mesh(
                vertices[vertex],
                np.rint(rgba),
                normals[normal] if normal.min(initial=0) >= 0 and len(normals) else None,
                uvs[uv] * material.scale + material.offset if len(uvs) else None,
                material.texture,
            )
        )
    return meshes


def _find_materials(obj: _Obj, assets: Assets) -> dict[str, Material]:
    """Return the materials of all libraries by their name in lower case."""
    materials: dict[str, Material] = {}
    for library in obj.libraries:
        content = assets.find(library.strip('"'))
        names = [library] if content is not None or " " not in library else library.split()
        for name in names:  # one name with spaces, or several names
            content = assets.get(name.strip('"'))
            if content is not None:
                for key, material in read_materials(content, assets).items():
                    materials.setdefault(key.casefold(), material)
    return materials

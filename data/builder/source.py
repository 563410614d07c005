"""One mesh to build, and how its shape is named."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import numpy as np

from data.builder.mesh import Mesh, rotation, transform
from data.builder.readers import load_mesh, parse_mesh
from data.builder.readers.assets import (
    ArchiveAssets,
    Assets,
    FolderAssets,
    entry_path,
    read_entry,
)
from data.layout import CATEGORIES, SYNSETS
from utils.errors import InputError

FRONT = "-z"  # of ShapeNetCore
FRONTS = {".glb": "z", ".gltf": "z"}  # by the glTF specification
GENERIC_NAMES = {"model", "models", "model_normalized", "mesh", "scene", "object", "untitled"}
IDENTITY = "1 0 0 0 1 0 0 0 1"
MAX_NAME_BYTES = 200  # file systems take 255


@dataclass(frozen=True)
class Source:
    """A mesh: a file, or the `entry` of an archive at `path`.

    `category` and `name` are the shape's folders, `label` is the mesh's path below the input,
    `front` the axis it faces by default, and `matrix` (the rows of a rotation) is applied first.
    Variant 0 is the mesh itself, the others are stretched copies.
    """

    path: Path
    category: str
    name: str
    label: str
    entry: str = ""
    front: str = FRONT
    matrix: str = IDENTITY
    variant: int = 0

    @property
    def shape(self) -> str:
        """The shape's "category/name"; "+" sorts a variant directly behind its original."""
        suffix = f"+{self.variant}" if self.variant else ""
        return f"{self.category}/{self.name}{suffix}"

    @property
    def location(self) -> Path:
        """The file's path, or the entry's below its archive's."""
        return self.path / self.entry.lstrip("/") if self.entry else self.path

    def load(self, up: str, front: str | None) -> tuple[Mesh, list[str]]:
        """Return the mesh with y up and its front towards +x, and notes on missing files.

        Raises InputError when the mesh cannot be used.
        """
        mesh, assets = self._read()
        try:
            matrix = np.reshape([float(word) for word in self.matrix.split()], (3, 3))
            is_rotation = np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3)
        except ValueError:
            is_rotation = False
        if not is_rotation:
            raise InputError(f"expected a rotation in the catalog, got {self.matrix[:100]}")
        return transform(mesh, rotation(up, front or self.front) @ matrix), assets.notes

    def _read(self) -> tuple[Mesh, Assets]:
        if not self.entry:
            assets = FolderAssets(self.path.parent)
            return load_mesh(self.path, assets), assets
        with ZipFile(self.path) as archive:
            content = read_entry(archive, self.entry)
            folder = entry_path(archive.getinfo(self.entry)).rpartition("/")[0]
            assets = ArchiveAssets(archive, folder)
            return parse_mesh(content, PurePosixPath(self.entry).suffix, assets), assets


def is_hidden(path: Path | PurePosixPath) -> bool:
    """Return whether a file is hidden, such as the copies that macOS leaves in archives."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def front_of(path: Path | PurePosixPath) -> str:
    """Return the axis that a mesh faces by its format."""
    return FRONTS.get(path.suffix.lower(), FRONT)


def category_of(file: Path, base: Path) -> str:
    """Return the category of a file under a folder that was given."""
    for folder in reversed(file.resolve().parts[:-1]):
        if folder in CATEGORIES:
            return folder
    below = file.relative_to(base).parts[:-1]
    return category_folder(below[0] if below else base.resolve().name)


def category_folder(name: str) -> str:
    """Return a category's folder: the id of an official one given by name or id, else the name."""
    name = clean_name(name)
    return SYNSETS.get(name.lower(), name)


def name_of(file: Path | PurePosixPath) -> str:
    """Return the name of the file, or of the nearest folder that says more than "model"."""
    names = [file.stem, *reversed(file.parts[:-1])]
    telling = (name for name in names if name.lower() not in GENERIC_NAMES)
    return clean_name(next(telling, file.stem))


def clean_name(name: str) -> str:
    """Return a name that can be a folder's on any system; "+" is reserved for variants."""
    name = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    short = name.encode(errors="ignore")[:MAX_NAME_BYTES].decode(errors="ignore")
    return short.strip("-.") or "unnamed"

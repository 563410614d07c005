"""Find meshes in files, folders and archives."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import numpy as np

from data.builder.mesh import Mesh, rotation, transform
from data.builder.readers import READERS, load_mesh, parse_mesh
from data.builder.readers.assets import (
    ArchiveAssets,
    Assets,
    FolderAssets,
    entry_path,
    read_entry,
)
from data.layout import CATEGORIES, SYNSETS
from utils.errors import InputError
from utils.files import read_text

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
            return parse_mesh(content, PurePosixPath(self.entry).name, assets), assets


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


ARCHIVES = {".zip", ".sh3f"}
OTHER_FORMATS = {*".3ds .3mf .blend .dae .fbx .igs .iges .stp .step .usd .usdz .wrl .x3d".split()}
MAX_TABLE_BYTES = 2**26
CATALOG = "PluginFurnitureCatalog.properties"  # of a Sweet Home 3D library
CATALOG_FRONT = "z"


def find_sources(paths: list[Path]) -> tuple[list[Source], dict[str, str]]:
    """Find the meshes in files, folders and archives.

    A mesh in ShapeNet's tree takes the official category that it is under. Another takes the
    topmost folder below the given one, or that one's name; in a Sweet Home 3D library, the one of
    its catalog.

    Returns the meshes, and the archives without one with the reason. Raises InputError for a given
    path that is missing or of no known format.
    """
    sources, problems = [], {}
    for path in paths:
        base = path if path.is_dir() else path.parent
        for file in _find_files(path):
            label = file.relative_to(base).as_posix()
            if file.suffix.lower() in ARCHIVES:
                try:
                    if not (found := _find_entries(file, label)):
                        raise InputError("expected meshes, found none")
                    sources += found
                except InputError as error:
                    problems[str(file)] = str(error)
            else:
                category, name = category_of(file, base), name_of(file)
                sources.append(Source(file, category, name, label, front=front_of(file)))
    return sources, problems


def count_other_formats(paths: list[Path]) -> Counter:
    """Count the meshes in folders that no reader is for, by their suffix."""
    suffixes = (file.suffix.lower() for path in paths for file in path.rglob("*"))
    return Counter(suffix for suffix in suffixes if suffix in OTHER_FORMATS)


def _find_files(path: Path) -> list[Path]:
    """Return the meshes and archives under a path, or the path itself."""
    known = ARCHIVES | set(READERS)
    if path.is_dir():
        return [
            file
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in known and not is_hidden(file.relative_to(path))
            and file.is_file()
        ]  # fmt: skip
    if not path.is_file():
        raise InputError(f"{path}: expected a mesh, a folder or an archive, found nothing")
    if path.suffix.lower() not in known:
        raise InputError(f"{path}: expected a file of one of {' '.join(sorted(known))}")
    return [path]


def _find_entries(path: Path, label: str) -> list[Source]:
    """Return the meshes of an archive: those of its catalog if it has one, else all."""
    try:
        with ZipFile(path) as archive:
            entries = sorted(archive.namelist())
            if CATALOG in entries:
                return _find_catalog(path, label, read_entry(archive, CATALOG).decode("latin-1"))
    except InputError:
        raise
    except Exception as error:  # a damaged archive can break zipfile in many ways
        raise InputError(f"expected a ZIP archive: {error}") from error
    sources = []
    for entry in entries:
        # Names may be absolute or climb up; only the shape's name and category come from them.
        parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", "..")]
        relative = PurePosixPath(*parts)
        if relative.suffix.lower() in READERS and not is_hidden(relative):
            folder = path.with_suffix("")
            category, name = category_of(folder / relative, folder), name_of(folder / relative)
            sources.append(
                Source(path, category, name, f"{label}/{relative}", entry, front_of(relative))
            )
    return sources


def _find_catalog(path: Path, label: str, text: str) -> list[Source]:
    """Return the meshes of a Sweet Home 3D catalog, whose lines are `key#number=value`."""
    pieces: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        key, hash_sign, number = name.strip().partition("#")
        if hash_sign:
            pieces.setdefault(number, {})[key] = value.strip()
    sources = []
    for piece in pieces.values():
        entry = piece.get("model", "").lstrip("/")
        if PurePosixPath(entry).suffix.lower() not in READERS:
            continue
        category = category_folder(piece.get("category") or path.stem)
        name, matrix = name_of(PurePosixPath(entry)), piece.get("modelRotation", IDENTITY)
        sources.append(
            Source(path, category, name, f"{label}/{entry}", entry, CATALOG_FRONT, matrix)
        )
    return sources


def distinct(sources: list[Source]) -> list[Source]:
    """Give each source its own name: those that clash in a category take their whole label.

    Names that still differ in punctuation or case alone ("chair 1", "chair-1") are numbered.
    """
    sources = list({source.location: source for source in sources}.values())
    counts = Counter((source.category.lower(), source.name.lower()) for source in sources)
    result, taken = [], set()
    for source in sources:
        category = source.category.lower()  # Windows and macOS hold "Chair" and "chair" for one
        is_unique = counts[category, source.name.lower()] == 1
        stem = source.name if is_unique else clean_name(source.label)
        name, i = stem, 1
        while (category, name.lower()) in taken:
            i += 1
            name = f"{stem}-{i}"
        taken.add((category, name.lower()))
        result.append(replace(source, name=name))
    return result


def with_categories(sources: list[Source], path: Path, *, only_listed: bool) -> list[Source]:
    """Apply a CSV of `path,category`, paths relative to its folder, to the sources.

    A mesh that it does not list keeps its category, or is left out. Raises InputError for a line
    that names no mesh, and a file that is no CSV.
    """
    indices = {source.location.resolve(): i for i, source in enumerate(sources)}
    listed = {}
    try:
        rows = list(csv.reader(io.StringIO(read_text(path, MAX_TABLE_BYTES), newline="")))
    except csv.Error as error:
        raise InputError(f"{path}: expected lines of path,category: {error}") from error
    for line, row in enumerate(rows, start=1):
        if not row or (line == 1 and row == ["path", "category"]):
            continue
        if len(row) != 2 or not row[1].strip() or "\0" in row[0]:
            raise InputError(f"{path}:{line}: expected path,category, got {','.join(row)!r}")
        i = indices.get((path.parent / row[0].strip()).resolve())
        if i is None:
            raise InputError(f"{path}:{line}: expected one of the meshes, got {row[0]!r}")
        listed[i] = replace(sources[i], category=category_folder(row[1].strip()))
    if only_listed:
        return list(listed.values())
    return [listed.get(i, source) for i, source in enumerate(sources)]

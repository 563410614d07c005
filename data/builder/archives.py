"""List the meshes of ZIP archives and of Sweet Home 3D's libraries."""

import io
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zipfile import ZipFile

from data.builder.formats import is_other, is_readable
from data.builder.readers.assets import entry_path, read_entry
from utils.errors import InputError
from utils.files import open_regular, refuse_placeholder

ARCHIVES = (".zip", ".sh3f")
CATALOG = "PluginFurnitureCatalog.properties"  # of a Sweet Home 3D library
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class ArchiveMesh(NamedTuple):
    """A mesh in an archive.

    entries: The mesh's entry; in an archive in the archive, the entries of both.
    path: Its path in the archive.
    category: By the catalog of the archive, if there is one.
    matrix: The rows of a rotation to be applied first.
    """

    entries: tuple[str, ...]
    path: PurePosixPath
    category: str = ""
    matrix: tuple[float, ...] = IDENTITY


def is_hidden(path: PurePosixPath | Path) -> bool:
    """Return whether a file is hidden, such as the copies that macOS leaves in archives."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def list_meshes(path: Path) -> tuple[list[ArchiveMesh], Counter]:
    """List the meshes of an archive: those of its catalog if it has one, else all.

    Also counts the files of formats that cannot be read. Raises InputError for a damaged archive.
    """
    with open_regular(path) as file:
        refuse_placeholder(file.read(1024))
    try:
        with ZipFile(path) as archive:
            if CATALOG in archive.namelist():
                text = read_entry(archive, CATALOG).decode("latin-1")
                return _read_catalog(text, path.stem)
            return _list_entries(archive)
    except Exception as error:  # a damaged archive can break zipfile in many ways
        raise InputError(f"expected a ZIP archive, cannot read it: {error}") from error


def _list_entries(archive: ZipFile, is_inner: bool = False) -> tuple[list[ArchiveMesh], Counter]:
    meshes, others = [], Counter()
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        # Names may be absolute or climb up; only the shape's name and category come from them.
        parts = [part for part in entry_path(info).split("/") if part not in ("", "..")]
        path = PurePosixPath(*parts)
        suffix = path.suffix.lower()
        if info.is_dir() or is_hidden(path):
            continue
        if suffix == ".zip" and not is_inner:
            with ZipFile(io.BytesIO(read_entry(archive, info.filename))) as inner:
                inner_meshes, inner_others = _list_entries(inner, is_inner=True)
            for mesh in inner_meshes:
                entries = (info.filename, *mesh.entries)
                meshes.append(ArchiveMesh(entries, path.with_suffix("") / mesh.path))
            others += inner_others
        elif is_readable(suffix):
            meshes.append(ArchiveMesh((info.filename,), path))
        elif is_other(suffix) or suffix == ".zip":
            others[suffix] += 1
    return meshes, others


def _read_catalog(text: str, default_category: str) -> tuple[list[ArchiveMesh], Counter]:
    """Read a Sweet Home 3D catalog, whose lines are `key#number=value`."""
    pieces: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        key, hash_sign, number = name.strip().partition("#")
        if hash_sign:
            pieces.setdefault(number, {})[key] = value.strip()
    meshes, others = [], Counter()
    for piece in pieces.values():
        path = PurePosixPath(piece.get("model", "").lstrip("/"))
        if is_readable(path.suffix.lower()):
            matrix = tuple(map(float, piece.get("modelRotation", "").split())) or IDENTITY
            category = piece.get("category") or default_category
            meshes.append(ArchiveMesh((str(path),), path, category, matrix))
        elif path.suffix:
            others[path.suffix.lower()] += 1
    return meshes, others

"""ZIP archives and Sweet Home 3D's libraries: their meshes, and the files around a mesh."""

import io
import posixpath
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple
from zipfile import ZipFile, ZipInfo

from data.builder.names import is_container
from data.builder.readers import OTHERS, is_readable
from data.builder.readers.assets import Assets, fold
from utils.errors import InputError
from utils.files import refuse_placeholder

ARCHIVES = (".zip", ".sh3f")
CATALOG = "PluginFurnitureCatalog.properties"  # of a Sweet Home 3D library
IDENTITY = "1 0 0 0 1 0 0 0 1"  # a catalog's default rotation


class ArchiveMesh(NamedTuple):
    """A mesh in an archive.

    entries: The mesh's entry, behind those of the archives in the archive that it is in.
    path: Its path in the archive.
    category: By the catalog of the archive, if there is one.
    matrix: By the catalog, the rows of a rotation to be applied first.
    """

    entries: tuple[str, ...]
    path: PurePosixPath
    category: str = ""
    matrix: tuple[float, ...] = ()


def is_hidden(path: PurePosixPath | Path) -> bool:
    """Return whether a file is hidden, such as the copies that macOS leaves in archives."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def list_meshes(path: Path) -> tuple[list[ArchiveMesh], Counter]:
    """List the meshes of an archive: those of its catalog if it has one, else all.

    Also counts the files of formats that cannot be read. Raises InputError for a damaged archive.
    """
    with open(path, "rb") as file:
        refuse_placeholder(file.read(1024))
    try:
        with ZipFile(path) as archive:
            if CATALOG in archive.namelist():
                text = archive.read(CATALOG).decode("latin-1")
                return _read_catalog(text, path.stem)
            return _list_entries(archive)
    except Exception as error:  # a damaged archive can break zipfile in many ways
        raise InputError(f"expected a ZIP archive, cannot read it: {error}") from error


def _list_entries(archive: ZipFile) -> tuple[list[ArchiveMesh], Counter]:
    meshes, others = [], Counter()
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        # Names may be absolute or climb up; only the shape's name and category come from them.
        parts = [part for part in entry_path(info).split("/") if part not in ("", "..")]
        path = PurePosixPath(*parts)
        suffix = path.suffix.lower()
        if info.is_dir() or is_hidden(path):
            continue
        if suffix == ".zip":
            try:
                with ZipFile(io.BytesIO(archive.read(info.filename))) as inner:
                    inner_meshes, inner_others = _list_entries(inner)
            except Exception:  # as of a damaged archive
                others["damaged .zip"] += 1
                continue
            for mesh in inner_meshes:
                entries = (info.filename, *mesh.entries)
                meshes.append(ArchiveMesh(entries, path.with_suffix("") / mesh.path))
            others += inner_others
        elif is_readable(suffix):
            meshes.append(ArchiveMesh((info.filename,), path))
        elif suffix in OTHERS:
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
            matrix = tuple(map(float, (piece.get("modelRotation") or IDENTITY).split()))
            category = piece.get("category") or default_category
            meshes.append(ArchiveMesh((str(path),), path, category, matrix))
        elif path.suffix:
            others[path.suffix.lower()] += 1
    return meshes, others


def open_entry(
    file: Path | BinaryIO, entries: tuple[str, ...], outer: Assets | None
) -> tuple[bytes, str, Assets]:
    """Return the content and the name of the mesh at an ArchiveMesh's entries of an archive.

    Also returns what is around it, where images are looked up before `outer`.
    """
    archive = ZipFile(file)  # stays open for what is around the entry
    content = archive.read(entries[0])
    folder, _, name = entry_path(archive.getinfo(entries[0])).rpartition("/")
    assets = ArchiveAssets(archive, folder, outer)
    if len(entries) > 1:
        return open_entry(io.BytesIO(content), entries[1:], assets)
    return content, name, assets


def entry_path(info: ZipInfo) -> str:
    """Return an entry's path, which may have backslashes, or be UTF-8 without its flag."""
    path = info.filename.replace("\\", "/")
    try:
        return path.encode("cp437").decode()
    except UnicodeError:
        return path


class ArchiveAssets(Assets):
    """Entries of a ZIP archive relative to a folder in it.

    Images that are not in it are looked up in `outer`, around the archive.
    """

    def __init__(self, archive: ZipFile, folder: str, outer: Assets | None = None):
        super().__init__()
        self.archive, self.folder, self.outer = archive, folder, outer
        self.entries = {fold(entry_path(info)): info.filename for info in archive.infolist()}

    def find(self, name: str, is_image: bool = False) -> bytes | None:
        path = fold(posixpath.normpath(posixpath.join(self.folder, name)))
        return self.archive.read(self.entries[path]) if path in self.entries else None

    def find_image(self, name: str) -> bytes | None:
        top = self.folder
        while is_container(top.rpartition("/")[2]):
            top = top.rpartition("/")[0]
        paths = [path for path in self.entries if path.rpartition("/")[2] == fold(name)]
        paths = [path for path in paths if path.startswith(fold(f"{top}/" if top else ""))]
        if paths:
            nearest = max(
                paths, key=lambda path: len(posixpath.commonprefix([path, fold(self.folder)]))
            )
            return self.archive.read(self.entries[nearest])
        return self.outer.find_image(name) if self.outer else None

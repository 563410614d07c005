"""Find meshes in ZIP archives, among them Sweet Home 3D's furniture libraries."""

from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from data.builder.readers import READERS
from data.builder.readers.assets import read_entry
from data.builder.source import (
    IDENTITY,
    Source,
    category_folder,
    category_of,
    front_of,
    is_hidden,
    name_of,
)
from utils.errors import InputError

CATALOG = "PluginFurnitureCatalog.properties"  # of a Sweet Home 3D library
CATALOG_FRONT = "z"


def find_entries(path: Path, label: str) -> list[Source]:
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
        matrix = _parse_matrix(piece["modelRotation"]) if "modelRotation" in piece else IDENTITY
        category = category_folder(piece.get("category") or path.stem)
        name = name_of(PurePosixPath(entry))
        source = Source(path, category, name, f"{label}/{entry}", entry, CATALOG_FRONT, matrix)
        sources.append(source)
    return sources


def _parse_matrix(text: str) -> tuple[float, ...]:
    """Return nine numbers, or NaNs, for which the mesh is refused later."""
    try:
        matrix = tuple(float(word) for word in text.split())
    except ValueError:
        matrix = ()
    return matrix if len(matrix) == 9 else (float("nan"),) * 9

"""Where meshes come from: files, folders, and archives such as Sweet Home 3D's furniture."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from data.builder.mesh import Mesh, rotation, transform
from data.builder.readers import READERS, load_mesh, parse_mesh
from data.builder.readers.assets import ArchiveAssets, read_entry
from data.categories import CATEGORIES, SYNSETS
from utils.errors import InputError, explain
from utils.files import read_text

MESHES = set(READERS)
ARCHIVES = {".zip", ".sh3f"}
MAX_TABLE_BYTES = 2**26  # bytes
CATALOG = "PluginFurnitureCatalog.properties"  # what a Sweet Home 3D library has
FRONT, CATALOG_FRONT = "-z", "z"  # of ShapeNetCore and of Sweet Home 3D
GENERIC = {"model", "models", "model_normalized", "mesh", "scene", "object", "untitled"}


@dataclass(frozen=True)
class Source:
    """One mesh: a file, or the `entry` of an archive at `path`.

    `category` and `model` name the object's folders, `label` the mesh to people. `front` is
    the axis it looks along where the user says nothing, and `turn` nine numbers, the rows of a
    rotation that comes first.
    """

    path: Path
    category: str
    model: str
    label: str
    entry: str = ""
    front: str = FRONT
    turn: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)

    @property
    def place(self) -> Path:
        """The file's path, or the entry's below its archive's."""
        return self.path / self.entry if self.entry else self.path

    def load(self, up: str, front: str | None) -> Mesh:
        """The mesh in the official frame. Raises InputError when it cannot be used."""
        try:
            mesh = self._load_entry() if self.entry else load_mesh(self.path)
        except OSError as error:
            raise InputError(explain(error)) from error
        turn = np.reshape(self.turn, (3, 3))
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3):
            raise InputError(f"expected a rotation in the catalog, found {self.turn}")
        return transform(mesh, rotation(up, front or self.front) @ turn)

    def _load_entry(self) -> Mesh:
        with ZipFile(self.path) as archive:
            assets = ArchiveAssets(archive, self.entry.rpartition("/")[0])
            return parse_mesh(read_entry(archive, self.entry), Path(self.entry).suffix, assets)


def find_sources(paths: list[Path]) -> list[Source]:
    """The meshes in files, folders and archives.

    A mesh in ShapeNet's tree takes the official category that it is under. Another takes the
    topmost folder below the one given, or that one's own name; in a Sweet Home 3D library, what
    its catalog says. Raises InputError for a path that is missing or of no known kind.
    """
    sources = []
    for path in paths:
        if path.is_dir():
            files = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in MESHES | ARCHIVES
                and _is_meant(file.relative_to(path))
                and file.is_file()
            ]
        elif not path.is_file():
            raise InputError(f"{path}: expected a mesh, a folder or an archive, found nothing such")
        elif path.suffix.lower() in MESHES | ARCHIVES:
            files = [path]
        else:
            known = " ".join(sorted(MESHES | ARCHIVES))
            raise InputError(f"{path}: expected a file of one of {known}")
        base = path if path.is_dir() else path.parent
        for file in files:
            label = file.relative_to(base).as_posix()
            if file.suffix.lower() in ARCHIVES:
                sources += _archive_sources(file, label)
            else:
                sources.append(Source(file, _category(file, base), _model(file), label))
    return sources


def _is_meant(path: Path) -> bool:
    """Whether a file is no one's hidden copy, as macOS leaves them."""
    return not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _category(file: Path, base: Path) -> str:
    for folder in reversed(file.resolve().parts[:-1]):
        if folder in CATEGORIES:
            return folder
    below = file.relative_to(base).parts[:-1]
    return category_folder(below[0] if below else base.resolve().name)


def category_folder(name: str) -> str:
    """The folder of a category: the id of an official one given by name or id, else the name."""
    name = clean_name(name)
    return SYNSETS.get(name.lower(), name)


def _model(file: Path) -> str:
    """A mesh's name: its file's, or that of the nearest folder that says more than "models"."""
    names = (file.stem, *reversed(file.parts[:-1]))
    return clean_name(next((name for name in names if name.lower() not in GENERIC), file.stem))


def clean_name(name: str) -> str:
    """A name that can be a folder's anywhere; "+" is kept for variants."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "unnamed"


def _archive_sources(path: Path, label: str) -> list[Source]:
    """The meshes of an archive: those of its catalog, if it is Sweet Home 3D's, else all."""
    try:
        with ZipFile(path) as archive:
            entries = sorted(archive.namelist())
            if CATALOG in entries:
                text = read_entry(archive, CATALOG).decode("latin-1")
                return _catalog_sources(path, label, text)
    except InputError:
        raise
    except Exception as error:  # a broken archive can break zipfile in many ways
        raise InputError(f"{path}: expected a ZIP archive: {error}") from error
    folder = path.with_suffix("")
    return [
        Source(
            path,
            _category(folder / entry, folder),
            _model(folder / entry),
            f"{label}/{entry}",
            entry,
        )
        for entry in entries
        if Path(entry).suffix.lower() in MESHES and _is_meant(Path(entry))
    ]


def _catalog_sources(path: Path, label: str, text: str) -> list[Source]:
    """The meshes of a Sweet Home 3D catalog, whose lines are `key#number=value`."""
    pieces: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        key, hash_sign, number = name.strip().partition("#")
        if hash_sign:
            pieces.setdefault(number, {})[key] = value.strip()
    sources = []
    for number, piece in pieces.items():
        entry = piece.get("model", "").lstrip("/")
        if Path(entry).suffix.lower() not in MESHES:
            continue
        words = piece.get("modelRotation", "1 0 0 0 1 0 0 0 1")
        try:
            turn = tuple(float(word) for word in words.split())
        except ValueError:
            turn = ()
        if len(turn) != 9:
            where = f"{path}/{CATALOG}: modelRotation#{number}"
            raise InputError(f"{where}: expected nine numbers, found {words!r}")
        category = category_folder(piece.get("category") or path.stem)
        model, name = _model(Path(entry)), f"{label}/{entry}"
        sources.append(Source(path, category, model, name, entry, CATALOG_FRONT, turn))
    return sources


def distinct(sources: list[Source]) -> list[Source]:
    """The sources, those whose names clash in a category named by their whole path.

    Names that even then differ in punctuation or case alone ("chair 1", "chair-1") are numbered.
    """
    sources = list({source.place: source for source in sources}.values())
    count = Counter((source.category, source.model.lower()) for source in sources)
    named, taken = [], set()
    for source in sources:
        model = source.model
        if count[source.category, model.lower()] > 1:
            model = clean_name(source.label)
        name, number = model, 1
        while (source.category, name.lower()) in taken:
            number += 1
            name = f"{model}-{number}"
        taken.add((source.category, name.lower()))
        named.append(replace(source, model=name))
    return named


def with_categories(sources: list[Source], path: Path, *, only_listed: bool) -> list[Source]:
    """The sources with the categories of a CSV of `path,category`, paths relative to its folder.

    A mesh that it does not name keeps its own category, or is left out. Raises InputError for a
    line that names no mesh and a file that is no CSV.
    """
    places = {source.place.resolve(): number for number, source in enumerate(sources)}
    listed = {}
    try:
        rows = list(csv.reader(io.StringIO(read_text(path, MAX_TABLE_BYTES), newline="")))
    except csv.Error as error:
        raise InputError(f"{path}: expected lines of path,category: {error}") from error
    for line, row in enumerate(rows, start=1):
        if not row or (line == 1 and row == ["path", "category"]):
            continue
        if len(row) != 2 or not row[1].strip() or "\0" in row[0]:
            raise InputError(f"{path}:{line}: expected path,category, found {','.join(row)!r}")
        number = places.get((path.parent / row[0].strip()).resolve())
        if number is None:
            raise InputError(f"{path}:{line}: expected one of the meshes, found {row[0]!r}")
        listed[number] = replace(sources[number], category=category_folder(row[1].strip()))
    if only_listed:
        return list(listed.values())
    return [listed.get(number, source) for number, source in enumerate(sources)]

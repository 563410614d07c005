"""Find meshes in files, folders and archives."""

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from data.builder.archives import ARCHIVES, is_hidden, list_meshes, open_entry
from data.builder.mesh import Mesh, rotation, transform
from data.builder.names import Place, category_folder, clean_name, is_container, name_shapes
from data.builder.readers import (
    CONVERTIBLE,
    OTHERS,
    PREFERENCE,
    READERS,
    explain_others,
    is_readable,
    parse_mesh,
)
from data.builder.readers.assets import Assets, FolderAssets
from utils.errors import InputError, explain
from utils.files import read_bytes, read_text

FRONT_Z = (".glb", ".gltf", *CONVERTIBLE)  # glTF's specification


@dataclass(frozen=True)
class Source:
    """A mesh: a file, or an entry of an archive.

    Attributes:
        path: The file or the archive.
        label: The mesh's path below the given folder.
        place: What the names of its folders and of itself tell.
        entries, matrix: As an ArchiveMesh has them.
        category, name: The shape's folders.
        variant: 0 is the mesh itself, the others are stretched copies.
    """

    path: Path
    label: str
    place: Place
    entries: tuple[str, ...] = ()
    category: str = ""
    name: str = ""
    matrix: tuple[float, ...] = ()
    variant: int = 0

    @property
    def shape(self) -> str:
        """The shape's "category/name"; "+" sorts a variant directly behind its original."""
        name = f"{self.name}+{self.variant}" if self.variant else self.name
        return f"{self.category}/{name}"

    @property
    def location(self) -> Path:
        """The file's path, or the entry's below its archive's."""
        return self.path.joinpath(*(entry.lstrip("/") for entry in self.entries))

    @property
    def suffix(self) -> str:
        return self.location.suffix.lower()

    @property
    def front(self) -> str:
        """The axis that the mesh faces by default: Sweet Home 3D's is z, ShapeNetCore's -z."""
        return "z" if self.matrix or self.suffix in FRONT_Z else "-z"

    def load(self, up: str, front: str | None) -> tuple[Mesh, list[str]]:
        """Return the mesh with y up and its front towards +x, and notes on missing files.

        Raises InputError when the mesh cannot be used.
        """
        content, name, assets = self._open()
        mesh = parse_mesh(content, name, assets)
        matrix = rotation(up, front or self.front)
        if self.matrix:
            matrix = matrix @ np.reshape(self.matrix, (3, 3))
        return transform(mesh, matrix), assets.notes

    @property
    def checksum(self) -> str:
        """The SHA-256 of the mesh's file; "" where it cannot be read, which `load` explains."""
        with suppress(Exception):
            return sha256(self._open()[0]).hexdigest()
        return ""

    def _open(self) -> tuple[bytes, str, Assets]:
        """Return the content and the name of the mesh's file, and what is around it."""
        assets = FolderAssets(self.path.parent)
        if not self.entries:
            return read_bytes(self.path), self.path.name, assets
        # The textures of source/chair.zip are in textures/.
        outer = assets if is_container(self.path.parent.name) else None
        return open_entry(self.path, self.entries, outer)


@dataclass
class Found:
    """What is in the given paths.

    Attributes:
        sources: The meshes, with categories and names.
        problems: Why an archive cannot be used, by its path.
        copies: Meshes that are left out, as their object is there in a preferred format.
        others: The number of files of each format that cannot be read.
    """

    sources: list[Source] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)
    others: Counter = field(default_factory=Counter)


def find_sources(
    paths: list[Path], listed: Mapping[Path, str] | None = None, category: str = ""
) -> Found:
    """Find the meshes in files, folders and archives, and name them as `name_shapes` does.

    Of an object's files, the one in the preferred format is kept, or those that are listed.

    Args:
        paths: Of files, folders and archives.
        listed: The categories of some meshes, as `read_categories` returns them.
        category: Of all other meshes; by default that of their catalog or folders.

    Raises:
        InputError: If a given path is missing, a listed mesh is not found, or there is no mesh.
    """
    found, listed = Found(), listed or {}
    by_location = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: expected a mesh, a folder or an archive, found nothing")
        for source in _find_in(path, found):
            by_location.setdefault(source.location, source)
    if not by_location and not found.problems:
        raise InputError(f"{paths[0]}: {_explain_none(found.others)}")
    if unknown := listed.keys() - {location.resolve() for location in by_location}:
        raise InputError(f"--categories: expected meshes that were given, got {min(unknown)}")

    sources = _choose_files(list(by_location.values()), listed)
    found.copies = sorted(map(str, by_location.keys() - {source.location for source in sources}))
    names = iter(name_shapes([source.place for source in sources if not source.category]))
    for source in sources:
        in_catalog = source.category, source.place.name
        own, name = in_catalog if source.category else next(names)
        folder = listed.get(source.location.resolve(), category or own)
        found.sources.append(replace(source, category=folder, name=clean_name(name)))
    return found


def _choose_files(sources: list[Source], listed: Collection[Path]) -> list[Source]:
    """Return those of an object's files that are listed, or the one in the preferred format."""
    is_listed = {source: source.location.resolve() in listed for source in sources}
    suffixes: dict[str, str] = {}  # of objects
    chosen: dict[Path, Source] = {}
    for source in sorted(sources, key=lambda s: (not is_listed[s], PREFERENCE.index(s.suffix))):
        path = source.location if source.category else source.place.object_path
        # Files of one format may differ in letter case alone ("a.obj", "A.obj").
        if suffixes.setdefault(str(path).casefold(), source.suffix) == source.suffix:
            chosen.setdefault(path, source)
    kept = set(chosen.values())
    return [source for source in sources if source in kept or is_listed[source]]


def _explain_none(others: Counter) -> str:
    expected = f"expected meshes ({' '.join(READERS)}) or ZIP archives of them, found none"
    return f"{expected}; {explain_others(others)}" if others else expected


def _find_in(path: Path, found: Found) -> Iterator[Source]:
    """Yield the meshes of a given file, folder or archive; add what else there is to `found`."""
    base = path if path.is_dir() else path.parent
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        below, suffix = file.relative_to(base), file.suffix.lower()
        if is_hidden(file.relative_to(path)) or not file.is_file():
            continue
        if suffix in ARCHIVES:
            try:
                yield from _find_in_archive(file, base, found)
            except (InputError, OSError) as error:
                found.problems[str(file)] = explain(error)
        elif is_readable(suffix):
            yield Source(file, below.as_posix(), Place.of(base, below))
        elif suffix in OTHERS:
            found.others[suffix] += 1


def _find_in_archive(path: Path, base: Path, found: Found) -> Iterator[Source]:
    meshes, others = list_meshes(path)
    found.others += others
    if not meshes:
        raise InputError(_explain_none(others))
    below = path.relative_to(base)
    places = [Place.of(path.with_suffix(""), mesh.path) for mesh in meshes]
    if len({place.object_path for place in places}) == 1:  # as the folder of an object
        places = [Place.of(base, below.with_suffix("") / mesh.path) for mesh in meshes]
    for mesh, place in zip(meshes, places, strict=True):
        label = f"{below.as_posix()}/{mesh.path}"
        category = category_folder(mesh.category) if mesh.category else ""
        yield Source(path, label, place, mesh.entries, category, matrix=mesh.matrix)


def distinct(sources: list[Source]) -> list[Source]:
    """Give each source its own name: those that clash in a category take their whole label.

    Names that still differ in punctuation or case alone ("chair 1", "chair-1") are numbered.
    """
    counts = Counter(source.shape.lower() for source in sources)
    result, taken = [], set()
    for source in sources:
        category = source.category.lower()  # Windows and macOS hold "Chair" and "chair" for one
        stem = source.name if counts[source.shape.lower()] == 1 else clean_name(source.label)
        name, i = stem, 1
        while (category, name.lower()) in taken:
            i += 1
            name = f"{stem}-{i}"
        taken.add((category, name.lower()))
        result.append(replace(source, name=name))
    return result


def read_categories(path: Path) -> dict[Path, str]:
    """Return the categories of a CSV of `path,category`, with paths relative to its folder."""
    categories = {}
    for line, row in enumerate(csv.reader(read_text(path).splitlines()), start=1):
        if not row or (line == 1 and row == ["path", "category"]):
            continue
        if len(row) != 2 or not row[1].strip():
            raise InputError(f"{path}:{line}: expected path,category, got {','.join(row)!r}")
        location = (path.parent / row[0].strip()).resolve()
        categories[location] = category_folder(row[1].strip())
    return categories

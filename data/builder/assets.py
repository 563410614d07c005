"""What a mesh's file refers to, materials and pictures, read from around it and nowhere else."""

import posixpath
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from trimesh.resolvers import Resolver

from utils.errors import InputError
from utils.files import read_bytes

LARGEST_FILE = 64 * 2**20  # bytes; as text, about a million triangles


class Assets(Resolver):
    """A place where names are looked up; trimesh asks it for `get` alone.

    A name that leads elsewhere is looked for beside the mesh: files of strangers often carry the
    full path of their author's machine.
    """

    def get(self, name: str) -> bytes:
        name = name.strip().replace("\\", "/")
        for candidate in (name, name.rsplit("/", 1)[-1]):
            content = self.find(candidate)
            if content is not None:
                return content
        raise FileNotFoundError(name)

    def find(self, name: str) -> bytes | None:
        """The content of the file of a name relative to the mesh's folder, if it is there."""
        raise NotImplementedError

    def keys(self):
        raise NotImplementedError

    def namespaced(self, namespace: str):
        raise NotImplementedError

    def write(self, name: str, data: bytes):
        raise NotImplementedError


class FolderAssets(Assets):
    """The files beside a mesh and below its parent folder, where ShapeNet keeps its pictures."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).resolve()

    def find(self, name: str) -> bytes | None:
        path = (self.folder / name).resolve()
        if path.is_relative_to(self.folder.parent) and path.is_file():
            return read_bytes(path, LARGEST_FILE)
        return None


class ArchiveAssets(Assets):
    """The entries of a ZIP archive, by their names relative to a folder in it, in any case."""

    def __init__(self, archive: ZipFile, folder: str):
        self.archive, self.folder = archive, folder
        self.entries = {info.filename.lower(): info.filename for info in archive.infolist()}

    def find(self, name: str) -> bytes | None:
        entry = self.entries.get(posixpath.normpath(posixpath.join(self.folder, name)).lower())
        return None if entry is None else read_entry(self.archive, entry)


def read_entry(archive: ZipFile, entry: str) -> bytes:
    """The content of an archive's entry.

    Raises InputError for one of more than 64 MB unpacked, and one that is missing or damaged.
    """
    where = f"{archive.filename}/{entry}"
    try:
        info = archive.getinfo(entry)
        if info.file_size > LARGEST_FILE:
            found = info.file_size
            raise InputError(f"{where}: expected at most {LARGEST_FILE} bytes, found {found}")
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise InputError(f"{where}: expected it stored or deflated, found another compression")
        with archive.open(info) as file:
            return file.read(info.file_size)  # without a size, it unpacks all there is
    except InputError:
        raise
    except Exception as error:  # a broken archive can break zipfile in many ways
        raise InputError(f"{where}: cannot be unpacked: {error}") from error

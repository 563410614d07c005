"""Files that a mesh refers to, read from around the mesh and nowhere else."""

import posixpath
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from trimesh.resolvers import Resolver

from utils.errors import InputError
from utils.files import read_bytes

MAX_FILE_BYTES = 64 * 2**20  # as text, about a million triangles


class Assets(Resolver):
    """Files by their name relative to a mesh's folder; trimesh calls `get` alone.

    Meshes often carry absolute paths of their author's machine: a name that is not found is looked
    up beside the mesh.
    """

    def get(self, name: str) -> bytes:
        name = name.strip().replace("\\", "/")
        for candidate in (name, name.rsplit("/", 1)[-1]):
            content = self.find(candidate)
            if content is not None:
                return content
        raise FileNotFoundError(name)

    def find(self, name: str) -> bytes | None:
        """Return the content of a file, or None where it is missing."""
        raise NotImplementedError

    def keys(self):
        raise NotImplementedError

    def namespaced(self, namespace: str):
        raise NotImplementedError

    def write(self, name: str, data: bytes):
        raise NotImplementedError


class FolderAssets(Assets):
    """Files in a mesh's folder or below its parent folder, where ShapeNet keeps the images."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).resolve()

    def find(self, name: str) -> bytes | None:
        path = (self.folder / name).resolve()
        if path.is_relative_to(self.folder.parent) and path.is_file():
            return read_bytes(path, MAX_FILE_BYTES)
        return None


class ArchiveAssets(Assets):
    """Entries of a ZIP archive, case-insensitive, relative to a folder in it."""

    def __init__(self, archive: ZipFile, folder: str):
        self.archive, self.folder = archive, folder
        self.entries = {info.filename.lower(): info.filename for info in archive.infolist()}

    def find(self, name: str) -> bytes | None:
        entry = self.entries.get(posixpath.normpath(posixpath.join(self.folder, name)).lower())
        return None if entry is None else read_entry(self.archive, entry)


def read_entry(archive: ZipFile, entry: str) -> bytes:
    """Return the content of an archive's entry.

    Raises InputError for one that is missing, damaged or of more than 64 MB unpacked.
    """
    where = f"{archive.filename}/{entry}"
    try:
        info = archive.getinfo(entry)
        if info.file_size > MAX_FILE_BYTES:
            raise InputError(
                f"{where}: expected at most {MAX_FILE_BYTES} bytes, got {info.file_size}"
            )
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise InputError(f"{where}: expected it stored or deflated")
        with archive.open(info) as file:
            return file.read(info.file_size)  # without a size, it unpacks all there is
    except InputError:
        raise
    except Exception as error:  # a damaged archive can break zipfile in many ways
        raise InputError(f"{where}: cannot be unpacked: {error}") from error

"""Files that a mesh refers to, read from around the mesh and nowhere else."""

import os
import posixpath
import re
import unicodedata
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from PIL import Image

from data.photographs import READABLE_FORMATS, decode_image
from utils.errors import InputError
from utils.files import read_bytes

MAX_FILE_BYTES = 64 * 2**20  # as text, about a million triangles
MAX_TOTAL_BYTES = 2**29  # of all files that a mesh refers to
UTF8_FLAG = 0x800  # of a ZIP entry's name
MAX_FOLDERS = 8  # of a path whose first folders are not found
MAX_TEXTURE_BYTES = 2**28  # of all decoded textures: 256 of the largest size


class Assets:
    """Files by their name relative to a mesh's folder, in any letter case.

    Meshes often carry absolute paths of their author's machine: a path that is not found is looked
    up without its first folders. `notes` has a line for each file that is missing or cannot be
    used. An instance serves one mesh: its limits and its decoded images are those of the mesh.
    """

    def __init__(self):
        self.notes: list[str] = []
        self.noted: set[str] = set()
        self.num_bytes = self.num_texture_bytes = 0
        self.images: dict[tuple[str, str], np.ndarray | None] = {}

    def get(self, name: str, is_image: bool = False, folder: str = "") -> bytes | None:
        """Return the content of a file in a folder below the mesh's or in the mesh's, or None.

        Raises InputError when the mesh's files take more than 512 MB together.
        """
        name = name.replace("\\", "/")
        parts = name.split("/")
        tails = ("/".join(parts[i:]) for i in range(max(1, len(parts) - MAX_FOLDERS), len(parts)))
        candidates = [path for path in (name, name.strip(), unquote(name), *tails) if path]
        inside = [posixpath.join(folder, path) for path in candidates if folder]
        for candidate in inside + candidates:
            if (content := self.find(candidate, is_image)) is not None:
                return content
        self.note(f"missing {name}")
        return None

    def get_image(self, name: str, folder: str = "") -> np.ndarray | None:
        """Return an image (H, W, 4) uint8, or None where it is missing or cannot be used."""
        key = (folder, name)
        if key not in self.images:
            content = self.get(name, is_image=True, folder=folder)
            self.images[key] = None if content is None else self.decode_image(content, name)
        return self.images[key]

    def decode_image(self, content: bytes, name: str) -> np.ndarray | None:
        if not self.has_room(name):
            return None
        try:
            pixels = read_texture(bytes(content))  # of binary glTF, a memoryview
        except InputError as error:
            self.note(f"texture {name}: {error}")
            return None
        self.num_texture_bytes += pixels.nbytes
        return pixels

    def has_room(self, name: str) -> bool:
        """Return whether the mesh may have one more texture; else note it."""
        if self.num_texture_bytes < MAX_TEXTURE_BYTES:
            return True
        self.note(f"texture {name} exceeds the mesh's {MAX_TEXTURE_BYTES} bytes of textures")
        return False

    def note(self, line: str) -> None:
        line = re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", line)[:300]  # of names in untrusted files
        if line not in self.noted:
            self.noted.add(line)
            self.notes.append(line)

    def find(self, name: str, is_image: bool = False) -> bytes | None:
        """Return the content of the file of exactly this name, or None."""
        if self.num_bytes <= MAX_TOTAL_BYTES:
            content = self._read(name, is_image)
            self.num_bytes += len(content or b"")
        if self.num_bytes > MAX_TOTAL_BYTES:
            raise InputError(f"expected at most {MAX_TOTAL_BYTES} bytes of files beside the mesh")
        return content

    def _read(self, name: str, is_image: bool) -> bytes | None:
        raise NotImplementedError


class FolderAssets(Assets):
    """Files in a mesh's folder or below.

    Images may be anywhere below its parent folder: ShapeNet has them in ../images.
    """

    def __init__(self, folder: str | Path):
        super().__init__()
        self.folder = Path(folder).resolve()

    def _read(self, name: str, is_image: bool) -> bytes | None:
        if PureWindowsPath(name).anchor:
            return None  # on Windows, resolving //server/share would connect to that server
        root = self.folder.parent if is_image else self.folder
        try:
            path = (self.folder / name).resolve()
            if not path.is_relative_to(root):
                return None
            path = path if path.is_file() else self._any_case(path, root)
            return read_bytes(path, MAX_FILE_BYTES) if path else None
        except (ValueError, OSError):  # a name that is too long, or no name at all
            return None

    def _any_case(self, path: Path, root: Path) -> Path | None:
        """Return the file whose path differs in letter case or Unicode form alone."""
        found = root
        for part in path.relative_to(found).parts:
            names = {_fold(name): name for name in os.listdir(found)} if found.is_dir() else {}
            if _fold(part) not in names:
                return None
            found = found / names[_fold(part)]
        found = found.resolve()  # a link may lead out
        return found if found.is_relative_to(root) and found.is_file() else None


class ArchiveAssets(Assets):
    """Entries of a ZIP archive relative to a folder in it."""

    def __init__(self, archive: ZipFile, folder: str):
        super().__init__()
        self.archive, self.folder = archive, folder
        self.entries = {_fold(entry_path(info)): info.filename for info in archive.infolist()}

    def _read(self, name: str, is_image: bool) -> bytes | None:
        entry = self.entries.get(_fold(posixpath.normpath(posixpath.join(self.folder, name))))
        return None if entry is None else read_entry(self.archive, entry)


def entry_path(info: ZipInfo) -> str:
    """Return an entry's path, which may have backslashes, or be UTF-8 without its flag."""
    path = info.filename.replace("\\", "/")
    try:
        return path if info.flag_bits & UTF8_FLAG else path.encode("cp437").decode()
    except UnicodeError:
        return path


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


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


MAX_TEXTURE_SIZE = 512  # pixels; a view of 137 shows no more
TEXTURE_FORMATS = (*READABLE_FORMATS, "TGA", "DDS", "PCX", "PPM")


def read_texture(content: bytes) -> np.ndarray:
    """Decode an image to (H, W, 4) uint8 of at most 512 pixels a side.

    Raises InputError as `decode_image` does.
    """
    return np.asarray(decode_image(content, _to_texture, formats=TEXTURE_FORMATS))


def _to_texture(image: Image.Image) -> Image.Image:
    if image.mode != "RGB":
        image = image.convert("RGBA")
    if max(image.size) <= MAX_TEXTURE_SIZE or image.mode == "RGB":
        image.thumbnail((MAX_TEXTURE_SIZE, MAX_TEXTURE_SIZE))
        return image.convert("RGBA")
    color = image.convert("RGB")
    for part in (image, color):
        part.thumbnail((MAX_TEXTURE_SIZE, MAX_TEXTURE_SIZE))
    # Scaling RGBA blackens transparent pixels, which are opaque where glTF ignores the alpha.
    alpha = image.getchannel("A")
    color.paste(image.convert("RGB"), mask=alpha.point(lambda value: 255 * (value > 0)))
    color.putalpha(alpha)
    return color

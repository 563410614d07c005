"""Files that a mesh refers to, read from around the mesh and nowhere else."""

import os
import posixpath
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote
from zipfile import ZipFile, ZipInfo

import numpy as np
from PIL import Image

from data.builder.names import is_container
from data.photographs import READABLE_FORMATS, decode_image
from utils.errors import InputError
from utils.files import read_bytes, refuse_placeholder

UTF8_FLAG = 0x800  # of a ZIP entry's name


class Assets:
    """Files by their name relative to a mesh's folder, in any letter case.

    Meshes often carry paths of their author's machine: a path that is not found is looked up
    without its first folders, and an image by its name alone, in the folders of the object that
    are named after their content, such as ../textures. `notes` has a line for each file that is
    missing or cannot be used. An instance serves one mesh and decodes each image once.
    """

    def __init__(self):
        self.notes: list[str] = []
        self.images: dict[tuple[str, str], np.ndarray | None] = {}

    def get(self, name: str, is_image: bool = False, folder: str = "") -> bytes | None:
        """Return the content of a file in a folder below the mesh's or in the mesh's, or None.

        Raises InputError for what a failed download leaves in the place of one.
        """
        name = name.replace("\\", "/")
        parts = name.split("/")
        tails = ("/".join(parts[i:]) for i in range(1, len(parts)))
        candidates = [path for path in (name, name.strip(), unquote(name), *tails) if path]
        inside = [posixpath.join(folder, path) for path in candidates if folder]
        for candidate in inside + candidates:
            if (content := self.find(candidate, is_image)) is not None:
                if content and not is_image:  # images are checked where they are decoded
                    _refuse_placeholder(content, name)
                return content
        last = unquote(parts[-1]).strip()
        content = self.find_image(last) if is_image and last else None
        if content is None:
            self.note(f"missing {name}")
        return content

    def get_image(self, name: str, folder: str = "") -> np.ndarray | None:
        """Return an image (H, W, 4) uint8, or None where it is missing or cannot be used."""
        key = (folder, name)
        if key not in self.images:
            content = self.get(name, is_image=True, folder=folder)
            self.images[key] = None if content is None else self.decode_image(content, name)
        return self.images[key]

    def decode_image(self, content: bytes, name: str) -> np.ndarray | None:
        try:
            return read_texture(bytes(content))  # of binary glTF, a memoryview
        except InputError as error:
            self.note(f"texture {name}: {error}")
            return None

    def note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def find(self, name: str, is_image: bool = False) -> bytes | None:
        """Return the content of the file at exactly this path, or None."""
        raise NotImplementedError

    def find_image(self, name: str) -> bytes | None:
        """Return the content of the nearest file of this name, or None."""
        raise NotImplementedError


def _refuse_placeholder(content: bytes, name: str) -> None:
    try:
        refuse_placeholder(content)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


class FolderAssets(Assets):
    """Files in a mesh's folder or below.

    Images may be anywhere below its parent folder: ShapeNet has them in ../images.
    """

    def __init__(self, folder: str | Path):
        super().__init__()
        self.folder = Path(folder).resolve()

    def find(self, name: str, is_image: bool = False) -> bytes | None:
        if PureWindowsPath(name).anchor:
            return None  # on Windows, resolving //server/share would connect to that server
        root = self.folder.parent if is_image else self.folder
        try:
            path = (self.folder / name).resolve()
            if not path.is_relative_to(root):
                return None
            path = path if path.is_file() else self._any_case(path, root)
            return read_bytes(path) if path else None
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

    def find_image(self, name: str) -> bytes | None:
        path = _files_around(self.folder).get(_fold(name))
        return read_bytes(path) if path else None


@lru_cache(maxsize=16)
def _files_around(folder: Path) -> dict[str, Path]:
    """Return the files of the object in a folder by their name, the nearest one of each name.

    The object's top folder is the first above that is not named after its kind of content; of the
    other folders in it, only those that are named so are searched.
    """
    files, top = {}, folder
    while True:
        with suppress(OSError):  # a folder above may be closed to the user
            for path in _list_contents(top):
                files.setdefault(_fold(path.name), path)
        if not is_container(top.name):
            break
        top = top.parent
    return {name: path for name, path in files.items() if path.resolve().is_relative_to(top)}


def _list_contents(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield path
        elif is_container(path.name):
            yield from (file for file in sorted(path.rglob("*")) if file.is_file())


class ArchiveAssets(Assets):
    """Entries of a ZIP archive relative to a folder in it.

    Images that are not in it are looked up in `outer`, around the archive.
    """

    def __init__(self, archive: ZipFile, folder: str, outer: Assets | None = None):
        super().__init__()
        self.archive, self.folder, self.outer = archive, folder, outer
        self.entries = {_fold(entry_path(info)): info.filename for info in archive.infolist()}

    def find(self, name: str, is_image: bool = False) -> bytes | None:
        path = _fold(posixpath.normpath(posixpath.join(self.folder, name)))
        return read_entry(self.archive, self.entries[path]) if path in self.entries else None

    def find_image(self, name: str) -> bytes | None:
        top = self.folder
        while is_container(top.rpartition("/")[2]):
            top = top.rpartition("/")[0]
        paths = [path for path in self.entries if path.rpartition("/")[2] == _fold(name)]
        paths = [path for path in paths if path.startswith(_fold(f"{top}/" if top else ""))]
        if paths:
            nearest = max(
                paths, key=lambda path: len(posixpath.commonprefix([path, _fold(self.folder)]))
            )
            return read_entry(self.archive, self.entries[nearest])
        return self.outer.find_image(name) if self.outer else None


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
    """Return the content of an archive's entry; raise InputError if it is damaged."""
    try:
        return archive.read(entry)
    except Exception as error:  # a damaged archive can break zipfile in many ways
        raise InputError(f"{entry}: cannot be unpacked: {error}") from error


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

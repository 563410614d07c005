"""Files that a mesh refers to, read from around the mesh and nowhere else."""

import os
import posixpath
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

import numpy as np
from PIL import Image

from data.builder.names import is_container
from data.photographs import READABLE_FORMATS, decode_image
from utils.errors import InputError
from utils.files import read_bytes, refuse_placeholder

MAX_TEXTURE_SIZE = 512  # pixels; a view of 137 shows no more
TEXTURE_FORMATS = (*READABLE_FORMATS, "TGA", "DDS", "PCX", "PPM")


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
        paths = [path for path in (name, name.strip(), unquote(name), *tails) if path]
        for path in [posixpath.join(base, path) for base in (folder, "") for path in paths]:
            if (content := self.find(path, is_image)) is not None:
                if content and not is_image:  # images are checked where they are decoded
                    refuse_placeholder(content, name)
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
        """Return an image as `get_image` does; `name` is for the note."""
        try:  # the content is a memoryview in binary glTF
            image = decode_image(bytes(content), _to_texture, formats=TEXTURE_FORMATS)
            return np.asarray(image)
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
            names = {fold(name): name for name in os.listdir(found)} if found.is_dir() else {}
            if fold(part) not in names:
                return None
            found = found / names[fold(part)]
        found = found.resolve()  # a link may lead out
        return found if found.is_relative_to(root) and found.is_file() else None

    def find_image(self, name: str) -> bytes | None:
        path = _files_around(self.folder).get(fold(name))
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
                files.setdefault(fold(path.name), path)
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


def fold(name: str) -> str:
    """Return what names that differ in letter case or Unicode form alone have in common."""
    return unicodedata.normalize("NFC", name).casefold()


def _to_texture(image: Image.Image) -> Image.Image:
    """Return an RGBA image of at most 512 pixels a side."""
    # Scaling RGBA blackens transparent pixels, which are opaque where glTF ignores the alpha.
    image = image.convert("RGBA")
    color, alpha = image.convert("RGB"), image.getchannel("A")
    for part in (color, alpha):
        part.thumbnail((MAX_TEXTURE_SIZE, MAX_TEXTURE_SIZE))
    color.putalpha(alpha)
    return color

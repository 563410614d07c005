"""Files that are wholly written or not there at all, and files of strangers."""

import os
import stat
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from utils.errors import InputError

UNDER_WAY = ".part"  # ends the names of files that are being written


@contextmanager
def atomic_write(path: str | Path):
    """Yield the path of a temporary file that takes the place of `path` when the block ends well.

    The folder of `path` is made if need be. After an error nothing is left behind; an OSError
    names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", suffix=UNDER_WAY, dir=path.parent)
    try:
        yield Path(temporary)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp made it private
        os.fsync(handle)  # or a power cut leaves the name without the content
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        os.close(handle)


@contextmanager
def open_bounded(path: str | Path, most: int, within: Path | None = None):
    """Yield the binary file at `path`, which holds at most `most` bytes.

    Raises InputError for a larger one, for a pipe or a device, which might never end, and for a
    link that leads out of the folder `within`.
    """
    if within is not None and not (real := _real(path)).startswith(f"{within}{os.sep}"):
        raise InputError(f"{path}: expected a file inside {within}, found a link to {real}")
    with open(path, "rb", opener=_at_once) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path}: expected a regular file, found a pipe or a device")
        if found.st_size > most:
            raise InputError(f"{path}: expected at most {most} bytes, found {found.st_size}")
        yield file


def _real(path: str | Path) -> str:
    """Where a file really is; where its folder is, is looked up once."""
    folder, name = os.path.split(path)
    real = f"{_real_folder(folder, os.getcwd())}{os.sep}{name}"
    return os.path.realpath(real) if os.path.islink(real) else real


@lru_cache(maxsize=1000)
def _real_folder(folder: str, _working_folder: str) -> str:
    return os.path.realpath(folder)


def _at_once(path, flags: int) -> int:
    """Open without waiting for someone to write into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_bytes(path: str | Path, most: int, within: Path | None = None) -> bytes:
    with open_bounded(path, most, within) as file:
        return file.read()


def read_text(path: str | Path, most: int, within: Path | None = None) -> str:
    try:
        return read_bytes(path, most, within).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected a text file in UTF-8") from None

"""Atomic writes, locks, and reads that name the file in every error and never wait for one."""

import errno
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from utils.errors import InputError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # Lustre without flock, some NFS
TEMPORARY_SUFFIX = ".part"  # of files that are being written


@contextmanager
def atomic_write(path: str | Path):
    """Yield a temporary path, which replaces `path` if the block succeeds.

    Missing parent folders are created. After an error no file is left; an OSError names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}-"
    handle, temporary = tempfile.mkstemp(TEMPORARY_SUFFIX, prefix, path.parent)
    os.close(handle)  # Windows does not replace an open file
    try:
        yield Path(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # else a power cut may leave the name without the content
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def remove_stale(folder: Path, pattern: str) -> None:
    """Remove what runs that were killed left: files and folders unchanged for an hour.

    Those that cannot be removed stay: another user's, links, or what another run removes now.
    """
    for path in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > 3600:
                remove = shutil.rmtree if path.is_dir() else os.unlink
                remove(path)


@contextmanager
def open_regular(path: str | Path):
    """Yield the regular file at `path`, open in binary mode; an OSError in the block names it.

    A FIFO, which an archive may contain, would block for ever, and /dev/zero never ends.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError(f"{path}: expected a regular file, got a folder, a pipe or a device")
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        if error.filename is None:  # reading fails without the name, on a bad disk for one
            error.filename = str(path)
        raise


def read_bytes(path: str | Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


def refuse_placeholder(content: bytes, name: str = "") -> None:
    """Raise InputError, with the file's name, for what a failed download leaves in its place."""
    where = f"{name}: " if name else ""
    if not content:
        raise InputError(f"{where}an empty file; download it again")
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()  # without a byte order mark
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{where}a Git LFS pointer, not the file itself; run `git lfs pull`")
    is_markup = start.startswith(b"<")  # an archive may hold a page
    if is_markup and (b"<html" in start or b"<!doctype html" in start):
        raise InputError(f"{where}a web page (HTML), not the file itself; download it again")


def read_text(path: str | Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected a text file in UTF-8") from None


def read_json(path: str | Path):
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON: {error}") from error


@contextmanager
def experiment_lock(folder: Path):
    """Keep a second training out of `folder`, which is made; the lock ends with this process.

    Unfinished writes of a killed training are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "training.lock"
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder}: in use by another training; choose another --experiment_name"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        print(f"warning: {folder}: no locks here; start no second training in it", file=sys.stderr)
    for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        leftover.unlink()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps open files; folders that are not empty stay
            path.unlink()
            folder.rmdir()
            folder.parent.rmdir()
        lock.release()

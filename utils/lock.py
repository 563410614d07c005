"""One training at a time in an experiment's folder."""

import fcntl
import os
import socket
from contextlib import contextmanager
from pathlib import Path

from utils.errors import InputError
from utils.files import UNDER_WAY

NAME = "training.lock"


@contextmanager
def locked(folder: Path):
    """Hold `folder`, made if need be, for this process; the system lets go of it when it dies.

    What a training that was killed was writing there is removed. Raises InputError, naming the
    process that holds the folder already. At the end a folder in which nothing was written is taken
    away again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with open(path, "a+", encoding="utf-8") as file:
        if not _take(file):
            file.seek(0)
            raise InputError(f"{folder}: in use by another training, {file.read(200)}")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        for name in (".checkpoint_*", ".config.ini-*"):
            for leftover in folder.glob(name + UNDER_WAY):
                leftover.unlink()
        try:
            yield
        finally:
            path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def _take(file) -> bool:
    """Lock a file for this process, if no other has done so, or has just removed it."""
    try:
        # Not flock: the processes that load data would hold it on after a crash.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file.fileno()).st_nlink > 0

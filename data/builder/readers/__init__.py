"""Read mesh files of several formats with their materials."""

from pathlib import Path

import numpy as np

from data.builder.mesh import Mesh, concatenate
from data.builder.readers.assets import MAX_FILE_BYTES, Assets, FolderAssets
from data.builder.readers.gltf import read_gltf
from data.builder.readers.obj import read_obj
from data.builder.readers.off import read_off
from data.builder.readers.ply import read_ply
from data.builder.readers.stl import read_stl
from utils.errors import InputError
from utils.files import read_bytes

READERS = {
    ".obj": read_obj,
    ".off": read_off,
    ".ply": read_ply,
    ".stl": read_stl,
    ".glb": read_gltf,
    ".gltf": read_gltf,
}


def load_mesh(path: str | Path, assets: Assets | None = None) -> Mesh:
    """Read a mesh file with its materials.

    Raises InputError when it is damaged, or has no triangle or more than 600,000.
    """
    path = Path(path)
    assets = assets or FolderAssets(path.parent)
    return parse_mesh(read_bytes(path, MAX_FILE_BYTES), path.suffix, assets)


def parse_mesh(content: bytes, suffix: str, assets: Assets) -> Mesh:
    """Read the bytes of a mesh file whose format is one of READERS."""
    try:
        with np.errstate(all="ignore"):  # of numbers that are checked later
            return concatenate(READERS[suffix.lower()](content, assets))
    except InputError:
        raise
    except Exception as error:  # a damaged file can break a parser in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"cannot be read as {suffix[1:]}: {reason}") from error

"""binvox, the run-length encoded voxel format of ShapeNetVox32.

Format: https://www.patrickmin.com/binvox/binvox.html
"""

import re
from pathlib import Path

import numpy as np

from utils.errors import InputError
from utils.files import atomic_write, read_bytes

HEADER = re.compile(
    rb"#binvox.*\n(?:.*\n)*?dim +(\d{1,9}) +(\d{1,9}) +(\d{1,9}) *\n(?:.*\n)*?data\n"
)
MAX_HEADER_BYTES = 1024  # a header has about 80
MAX_RESOLUTION = 512  # 128 MB as booleans


def read_binvox(path: str | Path) -> np.ndarray:
    """Read a binvox file.

    Returns the occupancy (D, D, D) bool, axes x, y, z. Raises InputError for a file that is
    damaged, not a cube, or of more than 512 voxels a side.
    """
    content = read_bytes(path, MAX_HEADER_BYTES + 2 * MAX_RESOLUTION**3)
    header = HEADER.match(content, 0, MAX_HEADER_BYTES)
    if header is None:
        expected = "a header of lines '#binvox', 'dim' with three numbers, and 'data'"
        raise InputError(f"{path}: expected {expected}, got {content[:40]!r}")
    shape = tuple(map(int, header.groups()))
    resolution = shape[0]
    if len(set(shape)) > 1 or not 1 <= resolution <= MAX_RESOLUTION:
        found = "x".join(map(str, shape))
        raise InputError(f"{path}: expected a cube of 1 to {MAX_RESOLUTION} voxels, got {found}")
    runs = np.frombuffer(content, np.uint8, offset=header.end())
    if len(runs) % 2:
        raise InputError(f"{path}: expected pairs of (value, length) bytes, got an odd number")
    values, lengths = runs[::2], runs[1::2]
    num_voxels = int(lengths.sum(dtype=np.int64))
    if num_voxels != resolution**3:
        raise InputError(f"{path}: expected {resolution**3} voxels, got {num_voxels}")
    if values.max() > 1 or lengths.min() == 0:
        raise InputError(f"{path}: expected values of 0 or 1 and lengths of 1 to 255")
    voxels = np.repeat(values.astype(bool), lengths).reshape(shape)  # x, z, y
    return np.ascontiguousarray(voxels.transpose(0, 2, 1))


def write_binvox(path: str | Path, voxels: np.ndarray, translate=(0, 0, 0), scale=1.0) -> None:
    """Write voxels as a binvox file.

    Args:
        path: File to write.
        voxels: Occupancy (D, D, D), axes x, y, z; anything but 0 is occupied.
        translate: Position (3,) of the grid's lower corner in the shape's units.
        scale: Length of the grid's side in the shape's units.
    """
    voxels = np.asarray(voxels, dtype=bool)
    if voxels.ndim != 3 or len(set(voxels.shape)) != 1:
        raise ValueError(f"expected voxels of shape (D, D, D), got {voxels.shape}")
    flat = voxels.transpose(0, 2, 1).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    num_runs = -(-lengths // 255)  # a length is one byte: longer runs are split
    split_lengths = np.full(num_runs.sum(), 255, np.uint8)
    split_lengths[np.cumsum(num_runs) - 1] = lengths - 255 * (num_runs - 1)
    runs = np.stack([np.repeat(flat[starts], num_runs).astype(np.uint8), split_lengths], axis=1)
    header = (
        f"#binvox 1\ndim {' '.join(map(str, voxels.shape))}\n"
        f"translate {' '.join(f'{value:.9g}' for value in translate)}\nscale {scale:.9g}\ndata\n"
    )
    with atomic_write(path) as temporary:
        temporary.write_bytes(header.encode() + runs.tobytes())

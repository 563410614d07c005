"""binvox, the run-length encoded voxel format of ShapeNetVox32.

Format: https://www.patrickmin.com/binvox/binvox.html
"""

from pathlib import Path

import numpy as np

from utils.errors import InputError
from utils.files import atomic_write, read_bytes

MAX_HEADER_BYTES = 1024  # a header has about 80
MAX_RESOLUTION = 512  # 128 MB as booleans


def read_binvox(path: str | Path) -> np.ndarray:
    """Read a binvox file.

    Returns the occupancy (D, D, D) bool, axes x, y, z. Raises InputError for a file that is
    damaged, not a cube, or of more than 512 voxels a side.
    """
    content = read_bytes(path, MAX_HEADER_BYTES + 2 * MAX_RESOLUTION**3)
    resolution, offset = _read_header(content, path)
    runs = np.frombuffer(content, np.uint8, offset=offset)
    if len(runs) % 2:
        raise InputError(f"{path}: expected pairs of (value, length) bytes, got an odd number")
    values, lengths = runs[::2], runs[1::2]
    num_voxels = int(lengths.sum(dtype=np.int64))
    if num_voxels != resolution**3:
        raise InputError(f"{path}: expected {resolution**3} voxels, got {num_voxels}")
    if values.max() > 1 or lengths.min() == 0:
        raise InputError(f"{path}: expected values of 0 or 1 and lengths of 1 to 255")
    voxels = np.repeat(values.astype(bool), lengths).reshape((resolution,) * 3)  # x, z, y
    return np.ascontiguousarray(voxels.transpose(0, 2, 1))


def _read_header(content: bytes, path) -> tuple[int, int]:
    """Return the resolution, and the offset of the first run."""
    lines = content[:MAX_HEADER_BYTES].split(b"\n")
    if not lines[0].startswith(b"#binvox"):
        raise InputError(f"{path}: expected a first line '#binvox 1', got {lines[0][:20]!r}")
    if b"data" not in lines[:-1]:
        raise InputError(f"{path}: expected a header that ends with a line 'data', got none")
    end = lines.index(b"data")
    fields = dict(line.partition(b" ")[::2] for line in lines[1:end])
    dim = fields.get(b"dim", b"").split()
    if len(dim) != 3 or not all(word.isdigit() and len(word) <= 9 for word in dim):
        found = fields.get(b"dim", b"none")[:40]
        raise InputError(f"{path}: expected 'dim' and three numbers, got {found!r}")
    shape = [int(word) for word in dim]
    if len(set(shape)) > 1 or not 1 <= shape[0] <= MAX_RESOLUTION:
        found = "x".join(map(str, shape))
        raise InputError(f"{path}: expected a cube of 1 to {MAX_RESOLUTION} voxels, got {found}")
    return shape[0], sum(len(line) + 1 for line in lines[: end + 1])


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

"""Read and write binvox, the run-length coded voxel format of ShapeNetVox32.

Format: https://www.patrickmin.com/binvox/binvox.html
"""

from pathlib import Path

import numpy as np

from utils.errors import InputError
from utils.files import atomic_write, read_bytes

HEADER_LIMIT = 1024  # bytes; a header is about 80
LARGEST_GRID = 512  # cells a side; 128 MB as booleans


def read_binvox(path: str | Path, within: Path | None = None) -> np.ndarray:
    """Read the occupancy of a binvox file.

    Returns a boolean array (X, Y, Z) of one size in all directions. Raises InputError when the
    file is not a complete binvox file of at most 512 cells a side, or a link out of `within`.
    """
    content = read_bytes(path, HEADER_LIMIT + 2 * LARGEST_GRID**3, within)
    size, start = _read_header(content, path)
    runs = np.frombuffer(content, np.uint8, offset=start)
    if len(runs) % 2:
        raise InputError(f"{path}: expected pairs of (value, count) bytes, found a lone last byte")
    values, counts = runs[::2], runs[1::2]
    total = int(counts.sum(dtype=np.int64))
    if total != size**3:
        raise InputError(f"{path}: expected {size**3} voxels, found {total}")
    if values.max() > 1 or counts.min() == 0:
        raise InputError(f"{path}: expected values of 0 or 1 and counts of 1 to 255")
    grid = np.repeat(values.astype(bool), counts).reshape(size, size, size)  # (X, Z, Y)
    return np.ascontiguousarray(grid.transpose(0, 2, 1))


def _read_header(content: bytes, path) -> tuple[int, int]:
    """The grid's size in cells a side, and the offset of the first run."""
    lines = content[:HEADER_LIMIT].split(b"\n")
    if not lines[0].startswith(b"#binvox"):
        raise InputError(f"{path}: expected a first line '#binvox 1', found {lines[0][:20]!r}")
    if b"data" not in lines[:-1]:
        raise InputError(f"{path}: expected a header that ends in a line 'data', found none")
    end = lines.index(b"data")
    fields = dict(line.partition(b" ")[::2] for line in lines[1:end])
    words = fields.get(b"dim", b"").split()
    if len(words) != 3 or not all(word.isdigit() and len(word) <= 9 for word in words):
        found = fields.get(b"dim", b"none")[:40]
        raise InputError(f"{path}: expected 'dim' and three numbers, found {found!r}")
    sizes = [int(word) for word in words]
    if len(set(sizes)) > 1 or not 1 <= sizes[0] <= LARGEST_GRID:
        shape = "x".join(map(str, sizes))
        raise InputError(
            f"{path}: expected a cube of 1 to {LARGEST_GRID} cells a side, found {shape}"
        )
    return sizes[0], sum(len(line) + 1 for line in lines[: end + 1])


def write_binvox(
    path: str | Path,
    occupied: np.ndarray,
    translate: tuple[float, float, float] = (0.0, 0.0, 0.0),
    scale: float = 1.0,
) -> None:
    """Write a boolean cube (X, Y, Z) as a binvox file.

    `translate` is the position of the grid's lower corner and `scale` the length of its side, both
    in the units of the model.
    """
    occupied = np.asarray(occupied, dtype=bool)
    if occupied.ndim != 3 or len(set(occupied.shape)) != 1:
        raise ValueError(f"expected a cube of voxels, found the shape {occupied.shape}")
    flat = occupied.transpose(0, 2, 1).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    pieces = -(-lengths // 255)  # a count is one byte, so that longer runs are cut into 255s
    counts = np.full(pieces.sum(), 255, np.uint8)
    counts[np.cumsum(pieces) - 1] = lengths - 255 * (pieces - 1)
    runs = np.stack([np.repeat(flat[starts], pieces).astype(np.uint8), counts], axis=1)
    size = occupied.shape[0]
    header = (
        f"#binvox 1\ndim {size} {size} {size}\n"
        f"translate {' '.join(f'{value:.9g}' for value in translate)}\nscale {scale:.9g}\ndata\n"
    )
    with atomic_write(path) as temporary:
        temporary.write_bytes(header.encode() + runs.tobytes())

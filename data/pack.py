"""Pack a dataset into one file that loads faster than its PNGs.

train.py and test.py use DIR/packed.bin if it is there. It holds each view's pixels around the
object, about 25 kB (75 kB if the images have no alpha), and each shape's voxels: 26 GB for
ShapeNet. The batches are the same, bit for bit. After a change to the files a run refuses the pack
until it is made again or deleted.

python -m data.pack DIR
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from data.layout import RENDERING_SIZE, RESOLUTIONS
from data.shapenet import ShapeNetIndex
from utils.errors import InputError, Parser, check_ranges, run
from utils.files import TEMPORARY_SUFFIX, atomic_write, remove_stale
from utils.parallel import parallel_map

PACKED = "packed.bin"
# The file is a header; the records, one for each file: the views and the voxels of the first shape,
# those of the second, and so on; and the contents: RGBA within a box, or one bit per voxel, with
# the voxels per side as the right and bottom of the box.
HEADER = np.dtype([("magic", "S8"), ("num_records", "<i8")])
BOX_SIDES = ("left", "top", "right", "bottom")
RECORD = np.dtype(
    [(name, "<i8") for name in ("size", "mtime", "offset")] + [(side, "u1") for side in BOX_SIDES]
)
MAGIC = b"R2N2PAC2"
NOT_PACKED = -1  # size of an excluded shape's files


@dataclass(frozen=True)
class PackedIndex(ShapeNetIndex):
    """A ShapeNetIndex that reads images and voxels from a pack.

    Attributes:
        first (ndarray): (N,) int64, the record of each shape's first view.
        num_records (int): Of all shapes.
        stamp (tuple): Size and time of the pack.
    """

    first: np.ndarray | None = None
    num_records: int = 0
    stamp: tuple[int, int] = (0, 0)

    def take(self, rows: list[int]) -> "PackedIndex":
        return replace(super().take(rows), first=self.first[rows])

    def load_image(self, i: int, view: int) -> Image.Image:
        records, contents = _open(self.root / PACKED, self.stamp)
        size, _, offset, left, top, right, bottom = records[self.first[i] + view].tolist()
        if size == NOT_PACKED:
            return super().load_image(i, view)
        image = Image.new("RGBA", (RENDERING_SIZE, RENDERING_SIZE))
        if width := right - left:
            pixels = contents[offset : offset + 4 * width * (bottom - top)]
            image.paste(Image.fromarray(pixels.reshape(-1, width, 4)), (left, top))
        return image

    def load_voxels(self, i: int) -> np.ndarray:
        records, contents = _open(self.root / PACKED, self.stamp)
        size, _, offset, *_, side = records[self.first[i] + self.num_views[i]].tolist()
        if size == NOT_PACKED:
            return super().load_voxels(i)
        return np.unpackbits(contents[offset : offset + side**3 // 8]).reshape((side,) * 3)


def _with_records(index: ShapeNetIndex, stamp: tuple[int, int] = (0, 0)) -> PackedIndex:
    ends = np.cumsum(index.num_views.astype(int) + 1)
    return PackedIndex(
        **vars(index), first=ends - index.num_views - 1, num_records=int(ends[-1]), stamp=stamp
    )


@lru_cache(maxsize=2)
def _open(path: Path, stamp: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Map a pack's records and the whole file, once in each process."""
    if _stamp(path) != stamp:
        raise InputError(f"{path}: replaced during the run")
    contents = np.asarray(np.memmap(path, np.uint8, "r"))
    num_records = contents[: HEADER.itemsize].view(HEADER)["num_records"][0]
    records = contents[HEADER.itemsize :][: num_records * RECORD.itemsize].view(RECORD)
    return records, contents


def _stamp(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def use_pack(index: ShapeNetIndex) -> ShapeNetIndex:
    """Return an index that reads from the dataset's pack, or `index` if it has none.

    Raises:
        InputError: If the pack is damaged, or does not match the files by size and time.
    """
    path = index.root / PACKED
    if not path.exists():
        return index
    packed = _with_records(index, _stamp(path))
    if problem := _find_problem(packed):
        remedy = f"run `python -m data.pack {index.root}` again or delete it"
        raise InputError(f"{path}: {problem}; {remedy}")
    print(f"{path}: read in place of the images")
    return packed


def _find_problem(index: PackedIndex) -> str:
    """Return what makes a pack unusable, if anything."""
    size, contents_start = index.stamp[0], HEADER.itemsize + index.num_records * RECORD.itemsize
    header = np.array([(MAGIC, index.num_records)], HEADER).tobytes()
    with open(index.root / PACKED, "rb") as file:
        if file.read(len(header)) != header or size < contents_start:
            return "of other shapes"
    records, _ = _open(index.root / PACKED, index.stamp)
    packed = records["size"] != NOT_PACKED
    offsets, boxes = records["offset"][packed], records[packed]
    ends = offsets + _num_bytes(records, index)[packed]
    in_file = (contents_start <= offsets) & (offsets <= ends) & (ends <= size)
    sides = records["bottom"][index.first + index.num_views]
    in_order = (boxes["left"] <= boxes["right"]) & (boxes["top"] <= boxes["bottom"])
    if not (in_file & in_order).all() or not np.isin(sides, (0, *RESOLUTIONS)).all():
        return "damaged"
    for i, name in enumerate(index.names):
        if name not in index.excluded:
            rows = records[index.first[i] :][: int(index.num_views[i]) + 1]
            if NOT_PACKED in rows["size"]:
                return f"lacks {name}"
            stamps = zip(rows["size"].tolist(), rows["mtime"].tolist(), strict=True)
            for file, stamp in zip(_files(index, i), stamps, strict=True):
                if _stamp(file) != stamp:
                    return f"does not match {file}"
    return ""


def _files(index: ShapeNetIndex, i: int) -> list[str | Path]:
    views = range(index.num_views[i])
    return [*(index.image_path(i, view) for view in views), index.voxels_path(i)]


def _num_bytes(records: np.ndarray, index: PackedIndex) -> np.ndarray:
    """Return the length of each record's content, (num_records,) int64."""
    left, top, right, bottom = (records[side].astype(int) for side in BOX_SIDES)
    num_bytes = 4 * (right - left) * (bottom - top)
    voxels = index.first + index.num_views
    num_bytes[voxels] = bottom[voxels] ** 3 // 8
    return np.where(records["size"] == NOT_PACKED, 0, num_bytes)


def pack(root: str | Path, processes: int | None = None) -> Path:
    """Write the pack of the shapes under `root` that are not in exclude.txt.

    The files are read twice: the lengths of all contents are needed before the first is written.

    Raises:
        InputError: If a file cannot be read; no pack is written then.
    """
    from data.datasets import index_any  # late: data.datasets reads packs

    files, _ = index_any(root)
    remove_stale(files.root, f".{PACKED}-*{TEMPORARY_SUFFIX}")
    index = _with_records(files)
    included = [i for i, name in enumerate(index.names) if name not in index.excluded]
    shapes = [replace(files.take([i]), excluded=frozenset()) for i in included]
    rows = [index.first[i] + np.arange(int(index.num_views[i]) + 1) for i in included]
    records = np.zeros(index.num_records, RECORD)
    records["size"] = NOT_PACKED
    for where, found in zip(rows, parallel_map(_measure, shapes, "read", processes), strict=True):
        records[where] = found
    num_bytes = _num_bytes(records, index)
    ends = HEADER.itemsize + records.nbytes + np.cumsum(num_bytes)
    records["offset"] = ends - num_bytes
    with atomic_write(index.root / PACKED) as temporary:
        with open(temporary, "wb") as file:
            file.write(np.array([(MAGIC, len(records))], HEADER).tobytes() + records.tobytes())
            file.truncate(ends[-1])
        jobs = [(s, records["offset"][where]) for s, where in zip(shapes, rows, strict=True)]
        parallel_map(partial(_write_contents, temporary), jobs, "pack", processes)
    return index.root / PACKED


def _measure(shape: ShapeNetIndex) -> np.ndarray:
    """Return the records of an index of one shape, with offsets of 0."""
    return np.array([record for record, _ in _contents(shape)], RECORD)


def _write_contents(path: Path, job: tuple[ShapeNetIndex, np.ndarray]) -> None:
    """Write the contents of an index of one shape to their offsets.

    A file that changed since it was measured doesn't match its record: no run will use the pack.
    """
    shape, offsets = job
    with open(path, "r+b") as file:
        for (_, content), offset in zip(_contents(shape), offsets.tolist(), strict=True):
            file.seek(offset)
            file.write(content)


def _contents(shape: ShapeNetIndex) -> Iterator[tuple[tuple, bytes]]:
    """Yield the record, with an offset of 0, and the content of each file of a single shape."""
    *views, voxels = _files(shape, 0)
    for view, file in enumerate(views):
        stamp, image = _stamp(file), shape.load_image(0, view)
        box = image.getbbox() or (0, 0, 0, 0)
        yield (*stamp, 0, *box), image.crop(box).tobytes()
    stamp, occupied = _stamp(voxels), shape.load_voxels(0)
    side = len(occupied)
    if side not in RESOLUTIONS:
        raise InputError(f"{voxels}: expected 32³ or 64³ voxels, got {side}³")
    yield (*stamp, 0, 0, 0, side, side), np.packbits(occupied).tobytes()


def main() -> None:
    parser = Parser(prog="python -m data.pack", description=__doc__.rpartition("\n\n")[0])
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("--processes", type=int, help="default: all cores")
    args = parser.parse_args()
    check_ranges(args, processes=(1, 1024))
    path = pack(args.dataset, args.processes)
    print(f"written: {path}, {path.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    run(main)

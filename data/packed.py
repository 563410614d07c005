"""The packs that data.pack writes: the views and voxels of a shape in one file that loads faster.

DIR/packed/<category>/<shape>.bin begins with a line of JSON, {file name: [size and modification
time of the file, offset and length of its content, *box]}. The contents follow: of an image, the
RGBA pixels in the box around the object; of voxels, one bit each, and the box is their number per
side.
"""

import json
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data.layout import RENDERING_SIZE, VOXELS_FILE
from data.shapenet import ShapeNetIndex
from utils.files import atomic_write, open_bounded

PACKED = "packed"


@dataclass(frozen=True)
class PackedIndex(ShapeNetIndex):
    """A ShapeNetIndex that reads the images and voxels of `packed` shapes from their packs."""

    packed: frozenset[str] = frozenset()

    def load_image(self, i: int, view: int) -> Image.Image:
        if self.names[i] not in self.packed:
            return super().load_image(i, view)
        content, (left, top, right, bottom) = self._read(i, self.views[i][view])
        image = Image.new("RGBA", (RENDERING_SIZE, RENDERING_SIZE))
        if content:
            box = Image.frombytes("RGBA", (right - left, bottom - top), content)
            image.paste(box, (left, top))
        return image

    def load_voxels(self, i: int) -> np.ndarray:
        if self.names[i] not in self.packed:
            return super().load_voxels(i)
        content, (side,) = self._read(i, VOXELS_FILE)
        bits = np.unpackbits(np.frombuffer(content, np.uint8), count=side**3)
        return bits.reshape(side, side, side)

    def _read(self, i: int, file_name: str) -> tuple[bytes, list[int]]:
        """Return the content of a file and its box."""
        with open_bounded(pack_path(self, i)) as file:
            _, _, offset, length, *box = json.loads(file.readline())[file_name]
            file.seek(offset, os.SEEK_CUR)
            return file.read(length), box


def use_pack(index: ShapeNetIndex) -> ShapeNetIndex:
    """Return an index that reads from the dataset's packs, or `index` if it has none.

    A shape is read from its files if one of them has changed since it was packed.
    """
    if not (index.root / PACKED).is_dir():
        return index
    packed = frozenset(name for i, name in enumerate(index.names) if is_packed(index, i))
    rest = set(index.names) - packed - index.excluded
    remedy = f"; `python -m data.pack {index.root}` packs the rest, new or changed" if rest else ""
    print(f"{index.root / PACKED}: {len(packed)} of {len(index.names)} shapes{remedy}")
    return PackedIndex(**vars(index), packed=packed)


def pack_path(index: ShapeNetIndex, i: int) -> str:
    return f"{index.root}/{PACKED}/{index.names[i]}.bin"


def is_packed(index: ShapeNetIndex, i: int) -> bool:
    """Return whether a shape has a whole pack of its files as they are now."""
    try:
        with open_bounded(pack_path(index, i)) as file:
            table = json.loads(file.readline())
            num_bytes = os.fstat(file.fileno()).st_size - file.tell()
    except (FileNotFoundError, ValueError):
        return False
    stamps = {name: entry[:2] for name, entry in table.items()}
    return stamps == _stamps(index, i) and num_bytes == sum(entry[3] for entry in table.values())


def _stamps(index: ShapeNetIndex, i: int) -> dict[str, list[int]]:
    """Return the size and the modification time of each file of a shape."""
    paths = {name: index.image_path(i, view) for view, name in index.views[i].items()}
    paths[VOXELS_FILE] = index.voxels_path(i)
    status_of = {name: os.stat(path) for name, path in paths.items()}
    return {name: [status.st_size, status.st_mtime_ns] for name, status in status_of.items()}


def pack_shape(shape: ShapeNetIndex) -> None:
    """Write the pack of an index of one shape."""
    table = _stamps(shape, 0)  # before reading: a file that changes then doesn't match
    contents = {}  # content and box, by file name
    for view, name in shape.views[0].items():
        image = shape.load_image(0, view)
        box = image.getbbox() or (0, 0, 0, 0)
        contents[name] = image.crop(box).tobytes(), box
    voxels = shape.load_voxels(0)
    contents[VOXELS_FILE] = np.packbits(voxels).tobytes(), (len(voxels),)

    offset = 0
    for name, (content, box) in contents.items():
        table[name] += [offset, len(content), *box]
        offset += len(content)
    with atomic_write(pack_path(shape, 0)) as temporary, open(temporary, "wb") as file:
        file.write(json.dumps(table).encode() + b"\n")
        file.writelines(content for content, _ in contents.values())

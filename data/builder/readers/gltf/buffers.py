"""The binary data of glTF 2.0: the file, its buffers and accessors."""

import base64
import json
import struct
from urllib.parse import unquote_to_bytes

import numpy as np

from data.builder.readers.assets import Assets
from data.builder.readers.text import decode
from utils.errors import InputError

EXTENSIONS = {  # those that may be required; others change what a file shows
    "EXT_mesh_gpu_instancing",
    "EXT_texture_avif",
    "EXT_texture_webp",
    "KHR_draco_mesh_compression",
    "KHR_lights_punctual",
    "KHR_materials_emissive_strength",
    "KHR_materials_pbrSpecularGlossiness",
    "KHR_materials_unlit",
    "KHR_materials_variants",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
}
MAX_JSON_ITEMS = 2**22  # each takes up to 100 bytes
MAX_VALUES = 2**26  # numbers of all accessors, which may be larger than the file
COMPONENT_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GltfFile:
    """A .gltf or .glb file: its JSON, and arrays of its buffers."""

    def __init__(self, content: bytes, assets: Assets):
        self.assets = assets
        self.contents: dict[str, bytes] = {}  # of buffers, by URI
        self.arrays: dict[int, np.ndarray] = {}  # by accessor: primitives often share them
        self.images: dict[int, np.ndarray | None] = {}  # decoded, of the file itself
        self.num_values = 0
        text, self.binary = _split_chunks(content)
        num_items = sum(text.count(character) for character in (b",", b"[", b"{"))
        if num_items > MAX_JSON_ITEMS:
            raise InputError(f"expected at most {MAX_JSON_ITEMS} items of JSON, got {num_items}")
        self.json = json.loads(decode(text).rstrip("\0"))
        version = str(self.json.get("asset", {}).get("version", "missing"))
        if not version.startswith("2."):
            raise InputError(f"expected glTF 2, got version {version}")
        unknown = sorted(set(self.json.get("extensionsRequired", [])) - EXTENSIONS)
        if unknown:
            raise InputError(f"needs {', '.join(unknown)}, which cannot be read")

    def items(self, name: str) -> list[dict]:
        return self.json.get(name, [])

    def buffer(self, i: int) -> bytes:
        """Return a buffer's content; buffers of one URI share it."""
        uri = self.items("buffers")[i].get("uri")
        if uri is None:
            return self.binary
        if uri not in self.contents:
            content = self.read_uri(uri)
            if content is None:
                raise InputError(f"missing {uri[:100]}")
            self.contents[uri] = content
        return self.contents[uri]

    def read_uri(self, uri: str) -> bytes | None:
        """Return the content of a data URI, or of a file beside the mesh if it is there."""
        if not uri.startswith("data:"):
            return self.assets.get(uri)
        head, _, data = uri.partition(",")
        content = unquote_to_bytes(data)
        return base64.b64decode(content) if head.endswith(";base64") else content

    def view(self, i: int) -> tuple[memoryview, int]:
        """Return the bytes of a buffer view, and its stride or 0."""
        view = self.items("bufferViews")[i]
        content = memoryview(self.buffer(view["buffer"]))
        compressed = [name for name in view.get("extensions", {}) if "meshopt" in name]
        if compressed and not content:
            raise InputError(f"needs {compressed[0]}, which cannot be read")
        start, length = view.get("byteOffset", 0), view["byteLength"]
        if start < 0 or length < 0 or start + length > len(content):
            raise InputError(f"expected a buffer of {start + length} bytes, got {len(content)}")
        return content[start : start + length], view.get("byteStride", 0)

    def array(self, i: int) -> np.ndarray:
        """Return an accessor's values (count, size), normalized integers as floats."""
        if i not in self.arrays:
            self.arrays[i] = self._read_array(self.items("accessors")[i])
        return self.arrays[i]

    def _read_array(self, accessor: dict) -> np.ndarray:
        count, size = accessor["count"], SIZES[accessor["type"]]
        self.num_values += count * size
        if count < 0 or self.num_values > MAX_VALUES:
            raise InputError(f"expected at most {MAX_VALUES} values in all accessors")
        dtype = np.dtype(COMPONENT_TYPES[accessor["componentType"]])
        if "bufferView" in accessor:
            values = self._strided(accessor, dtype, count, size)
        else:
            values = np.zeros((count, size), dtype)
        if "sparse" in accessor:
            values = self._substitute(values, accessor["sparse"])
        return normalized(values, accessor)

    def _strided(self, accessor: dict, dtype: np.dtype, count: int, size: int) -> np.ndarray:
        content, stride = self.view(accessor["bufferView"])
        offset = accessor.get("byteOffset", 0)
        stride = stride or dtype.itemsize * size
        end = offset + stride * (count - 1) + dtype.itemsize * size
        if offset < 0 or stride < 0 or (count and end > len(content)):
            raise InputError(f"expected a buffer view of {end} bytes, got {len(content)}")
        shape, strides = (count, size), (stride, dtype.itemsize)
        return np.ndarray(shape, dtype, content, offset, strides) if count else np.zeros(shape)

    def _substitute(self, values: np.ndarray, sparse: dict) -> np.ndarray:
        index = sparse["indices"]
        index_type = np.dtype(COMPONENT_TYPES[index["componentType"]])
        rows = self._strided(index, index_type, sparse["count"], 1)[:, 0].astype(int)
        values = values.copy()
        size = values.shape[1]
        values[rows] = self._strided(sparse["values"], values.dtype, sparse["count"], size)
        return values


def normalized(values: np.ndarray, accessor: dict) -> np.ndarray:
    """Map normalized integers to [0, 1] or [-1, 1]."""
    if not accessor.get("normalized"):
        return values
    dtype = np.dtype(COMPONENT_TYPES[accessor["componentType"]])
    return np.maximum(values / np.iinfo(dtype).max, -1) if dtype.kind in "iu" else values


def _split_chunks(content: bytes) -> tuple[bytes, bytes]:
    """Return the JSON and the binary chunk of a GLB file, or the whole of a glTF file."""
    if not content.startswith(b"glTF"):
        return content, b""
    chunks, offset = {}, 12
    while offset + 8 <= len(content):
        length, kind = struct.unpack_from("<I4s", content, offset)
        chunks.setdefault(kind, content[offset + 8 : offset + 8 + length])
        offset += 8 + length
        if content[offset + 4 : offset + 8] != b"BIN\0":  # the padding may not be counted
            offset += -offset % 4
    if b"JSON" not in chunks:
        raise InputError("expected a GLB file of version 2 with a JSON chunk")
    return chunks[b"JSON"], chunks.get(b"BIN\0", b"")

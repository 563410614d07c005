"""The binary data of glTF 2.0: the file, its buffers and accessors."""

import base64
import json
import re
import struct
from urllib.parse import unquote_to_bytes

import numpy as np

from data.builder.readers.assets import Assets
from data.builder.readers.text import decode
from utils.errors import InputError

UNREADABLE = re.compile(
    "meshopt|gaussian|instancing|primitive_restart|primitive_voxels|quantized_attributes"
)
INSTANCING = "EXT_mesh_gpu_instancing"  # without it, most of the objects are missing
READABLE = {
    "EXT_texture_avif", "EXT_texture_webp", "KHR_draco_mesh_compression", "KHR_lights_punctual",
    "KHR_materials_emissive_strength", "KHR_materials_pbrSpecularGlossiness", "KHR_materials_unlit",
    "KHR_mesh_quantization", "KHR_node_visibility", "KHR_texture_transform",
}  # fmt: skip
COMPONENT_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GltfFile:
    """A .gltf or .glb file: its JSON, and arrays of its buffers.

    Raises InputError where it requires an extension that changes the geometry or its coding.
    """

    def __init__(self, content: bytes, assets: Assets):
        self.assets = assets
        self.contents: dict[str, bytes] = {}  # buffers by URI
        self.arrays: dict[int, np.ndarray] = {}  # an accessor's, as primitives often share them
        self.images: dict[int, np.ndarray | None] = {}
        text, self.binary = _split_chunks(content)
        self.json = json.loads(decode(text).rstrip("\0"))
        version = str(self.json.get("asset", {}).get("version", "missing"))
        if not version.startswith("2."):
            raise InputError(f"expected glTF 2, got version {version}")
        required = set(self.json.get("extensionsRequired", []))
        required |= {INSTANCING}.intersection(self.json.get("extensionsUsed", []))
        if unreadable := sorted(filter(UNREADABLE.search, required)):
            raise InputError(f"needs {', '.join(unreadable)}, which cannot be read")
        for name in sorted(required - READABLE):
            assets.note(f"{name}, which the file requires, is ignored")

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
        start = view.get("byteOffset", 0)
        content = memoryview(self.buffer(view["buffer"]))[start : start + view["byteLength"]]
        return content, view.get("byteStride", 0)

    def array(self, i: int) -> np.ndarray:
        """Return an accessor's values (count, size), normalized integers as floats."""
        if i not in self.arrays:
            self.arrays[i] = self._read_accessor(self.items("accessors")[i])
        return self.arrays[i]

    def _read_accessor(self, accessor: dict) -> np.ndarray:
        if "sparse" in accessor:
            raise InputError("needs sparse accessors, which cannot be read")
        shape = accessor["count"], SIZES[accessor["type"]]
        dtype = np.dtype(COMPONENT_TYPES[accessor["componentType"]])
        if "bufferView" not in accessor:
            return np.zeros(shape, dtype)  # as Draco's, which are elsewhere
        content, stride = self.view(accessor["bufferView"])
        strides = stride or dtype.itemsize * shape[1], dtype.itemsize
        values = np.ndarray(shape, dtype, content, accessor.get("byteOffset", 0), strides)
        return normalized(values, accessor)


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
    if b"JSON" not in chunks:
        raise InputError("expected a GLB file of version 2 with a JSON chunk")
    return chunks[b"JSON"], chunks.get(b"BIN\0", b"")

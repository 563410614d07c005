"""Materials and textures of glTF 2.0, reduced to a base color."""

from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
from PIL import Image

from data.builder.mesh import GRAY, Texture, linear_to_srgb, srgb_to_linear
from data.builder.readers.assets import MAX_TEXTURE_BYTES
from data.builder.readers.gltf.buffers import GltfFile
from utils.errors import InputError

CLAMP, MIRROR = 33071, 33648
IMAGE_EXTENSIONS = ("EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds")


@dataclass
class GltfMaterial:
    """A linear RGBA factor in [0, 1], a texture, its uv set and their transform (2, 3).

    A factor of alpha 0 is invisible.
    """

    factor: np.ndarray
    texture: Texture | None = None
    uv_set: int = 0
    uv_matrix: np.ndarray | None = None
    is_blended: bool = False  # with what is behind, by its alpha
    is_lit: bool = True

    def uv(self, uv: np.ndarray) -> np.ndarray:
        """Return texture coordinates (N, 2), v pointing up, of the file's, v pointing down."""
        if self.uv_matrix is not None:
            uv = np.insert(uv, 2, 1, axis=1) @ self.uv_matrix.T
        return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)


@dataclass
class Materials:
    """The materials of a file, each read once; equal textures are kept once."""

    file: GltfFile
    read: dict[int, GltfMaterial] = field(default_factory=dict)
    textures: dict[tuple, Texture] = field(default_factory=dict)
    num_bytes: int = 0

    def get(self, i: int | None, has_colors: bool) -> GltfMaterial:
        """Return a material; gray for none, white where vertex colors take its place."""
        if i is None:
            return GltfMaterial(np.ones(4) if has_colors else srgb_to_linear(np.uint8(GRAY)))
        if i not in self.read:
            material = _read_material(self.file, i)
            if material.texture is not None:
                material = replace(material, texture=self._share(material.texture))
            self.read[i] = material
        return self.read[i]

    def _share(self, texture: Texture) -> Texture:
        pixels = np.ascontiguousarray(texture.pixels)
        key = (texture.clamp, pixels.shape, sha256(pixels).digest())
        if key not in self.textures:
            self.num_bytes += pixels.nbytes
            if self.num_bytes > MAX_TEXTURE_BYTES:
                raise InputError(f"expected at most {MAX_TEXTURE_BYTES} bytes of textures")
            self.textures[key] = texture
        return self.textures[key]


def _read_material(file: GltfFile, i: int) -> GltfMaterial:
    entry = file.items("materials")[i]
    pbr = entry.get("pbrMetallicRoughness", {})
    factor, info = pbr.get("baseColorFactor"), pbr.get("baseColorTexture")
    glossy = entry.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
    if glossy is not None:
        factor, info = glossy.get("diffuseFactor"), glossy.get("diffuseTexture")
    factor = np.array([1, 1, 1, 1] if factor is None else factor, float)
    is_lit = "KHR_materials_unlit" not in entry.get("extensions", {})
    material = _with_texture(file, GltfMaterial(factor, is_lit=is_lit), info)
    return _with_alpha_mode(_with_emission(file, material, entry), entry)


def _with_texture(file: GltfFile, material: GltfMaterial, info: dict | None) -> GltfMaterial:
    """Add the texture of a textureInfo, if it can be read."""
    if info is None:
        return material
    entry = file.items("textures")[info["index"]]
    extensions = entry.get("extensions", {})
    sources = [entry, *(extensions[name] for name in IMAGE_EXTENSIONS if name in extensions)]
    source = next((item["source"] for item in sources if "source" in item), None)
    if source is None:
        file.assets.note(f"texture without an image that can be read: {', '.join(extensions)}")
    pixels = None if source is None else _read_image(file, source)
    if pixels is None:
        return material
    sampler = file.items("samplers")[entry["sampler"]] if "sampler" in entry else {}
    transform = info.get("extensions", {}).get("KHR_texture_transform", {})
    matrix = _uv_matrix(transform)
    wraps = (sampler.get("wrapS"), sampler.get("wrapT"))
    if wraps[0] == MIRROR:  # a mirrored pair of images repeats
        pixels, matrix[0] = np.concatenate([pixels, pixels[:, ::-1]], 1), matrix[0] / 2
    if wraps[1] == MIRROR:
        pixels, matrix[1] = np.concatenate([pixels, pixels[::-1]], 0), matrix[1] / 2
    texture = Texture(pixels, (wraps[0] == CLAMP, wraps[1] == CLAMP))
    uv_set = transform.get("texCoord", info.get("texCoord", 0))
    return replace(material, texture=texture, uv_set=uv_set, uv_matrix=matrix)


def _read_image(file: GltfFile, i: int) -> np.ndarray | None:
    image = file.items("images")[i]
    if "uri" in image and not image["uri"].startswith("data:"):
        return file.assets.get_image(image["uri"])
    if i not in file.images:
        is_uri = "uri" in image
        content = file.read_uri(image["uri"]) if is_uri else file.view(image["bufferView"])[0]
        name = image.get("name") or f"image {i}"
        file.images[i] = file.assets.decode_image(bytes(content), name)
    return file.images[i]


def _uv_matrix(transform: dict) -> np.ndarray:
    """Return KHR_texture_transform as a matrix (2, 3)."""
    angle, scale = transform.get("rotation", 0), transform.get("scale", (1, 1))
    c, s = np.cos(angle), np.sin(angle)
    linear = np.array([[c, s], [-s, c]]) * scale
    return np.column_stack([linear, transform.get("offset", (0, 0))])


def _with_emission(file: GltfFile, material: GltfMaterial, entry: dict) -> GltfMaterial:
    """Add emitted light to the base color."""
    strength = entry.get("extensions", {}).get("KHR_materials_emissive_strength", {})
    emission = np.array(entry.get("emissiveFactor", (0, 0, 0)), float)
    emission = emission * strength.get("emissiveStrength", 1)
    if not emission.any():
        return material
    glow = _with_texture(file, replace(material, texture=None), entry.get("emissiveTexture"))
    if glow.texture is None:
        if material.texture is None:
            return replace(material, factor=np.clip(material.factor + np.append(emission, 0), 0, 1))
        light = emission
    else:
        if material.texture is None:
            white = np.full_like(glow.texture.pixels, 255)
            material = replace(glow, texture=glow.texture._replace(pixels=white))
        opaque = Image.fromarray(glow.texture.pixels | np.uint8([0, 0, 0, 255]))
        image = opaque.resize(material.texture.pixels.shape[1::-1])
        light = srgb_to_linear(np.asarray(image))[..., :3] * emission
    pixels = srgb_to_linear(material.texture.pixels) * np.append(material.factor[:3], 1)
    pixels[..., :3] += light
    texture = material.texture._replace(pixels=linear_to_srgb(pixels))
    return replace(material, factor=np.append([1, 1, 1], material.factor[3]), texture=texture)


def _with_alpha_mode(material: GltfMaterial, entry: dict) -> GltfMaterial:
    """Apply the alpha mode: the alpha is 1, 0 or 1 by a threshold, or blends."""
    mode = entry.get("alphaMode", "OPAQUE")
    if mode == "BLEND":
        return replace(material, is_blended=True)
    cutoff = entry.get("alphaCutoff", 0.5) if mode == "MASK" else 0
    opacity, texture = material.factor[3], material.texture
    if texture is None:
        return replace(material, factor=np.append(material.factor[:3], float(opacity >= cutoff)))
    pixels = texture.pixels.copy()
    pixels[..., 3] = np.where(pixels[..., 3] / 255 * opacity >= cutoff, 255, 0)
    texture = texture._replace(pixels=pixels)
    return replace(material, factor=np.append(material.factor[:3], 1), texture=texture)

"""Materials and textures of glTF 2.0, reduced to a base color."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.builder.mesh import GRAY, linear_to_srgb, srgb_to_linear
from data.builder.readers.gltf.buffers import GltfFile

CLAMP, MIRROR = 33071, 33648
IMAGE_EXTENSIONS = ("EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds")


class GltfTexture(NamedTuple):
    """A Texture's pixels and clamp, its uv set and their transform (2, 3)."""

    pixels: np.ndarray
    clamp: tuple[bool, bool]
    uv_set: int
    uv_matrix: np.ndarray

    def uv(self, uv: np.ndarray) -> np.ndarray:
        """Return texture coordinates (N, 2), v pointing up, of the file's, v pointing down."""
        uv = np.insert(uv[:, :2], 2, 1, axis=1) @ self.uv_matrix.T
        return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)


@dataclass
class GltfMaterial:
    """A linear RGBA factor in [0, 1] and a texture."""

    factor: np.ndarray
    texture: GltfTexture | None = None
    is_blended: bool = False  # alpha shows what is behind it
    is_lit: bool = True


def read_material(file: GltfFile, i: int | None, has_colors: bool) -> GltfMaterial:
    """Return a material; gray for none, white where vertex colors take its place."""
    if i is None:
        return GltfMaterial(np.ones(4) if has_colors else srgb_to_linear(np.uint8(GRAY)))
    entry = file.items("materials")[i]
    extensions = entry.get("extensions", {})
    pbr = entry.get("pbrMetallicRoughness", {})
    factor, info = pbr.get("baseColorFactor"), pbr.get("baseColorTexture")
    glossy = extensions.get("KHR_materials_pbrSpecularGlossiness")
    if glossy is not None:
        factor, info = glossy.get("diffuseFactor"), glossy.get("diffuseTexture")
    factor = np.array([1, 1, 1, 1] if factor is None else factor, float)
    is_lit = "KHR_materials_unlit" not in extensions
    material = GltfMaterial(factor, _read_texture(file, info), is_lit=is_lit)
    if info is not None and material.texture is None:
        material.factor = factor * srgb_to_linear(np.uint8(GRAY))
    _add_emission(file, material, entry)
    _apply_alpha_mode(material, entry)
    return material


def _read_texture(file: GltfFile, info: dict | None) -> GltfTexture | None:
    """Return the texture of a textureInfo; one that cannot be read is noted."""
    if info is None:
        return None
    try:
        entry = file.items("textures")[info["index"]]
        sampler = file.items("samplers")[entry["sampler"]] if "sampler" in entry else {}
        pixels = _read_image(file, entry)
    except Exception as error:  # a damaged texture must not cost the mesh
        file.assets.note(f"texture {info.get('index')} cannot be read: {error!r}")
        return None
    if pixels is None:
        return None
    transform = info.get("extensions", {}).get("KHR_texture_transform", {})
    matrix = _uv_matrix(transform)
    wraps = (sampler.get("wrapS"), sampler.get("wrapT"))
    if wraps[0] == MIRROR:  # a mirrored pair of images repeats
        pixels, matrix[0] = np.concatenate([pixels, pixels[:, ::-1]], 1), matrix[0] / 2
    if wraps[1] == MIRROR:
        pixels, matrix[1] = np.concatenate([pixels, pixels[::-1]], 0), matrix[1] / 2
    uv_set = transform.get("texCoord", info.get("texCoord", 0))
    return GltfTexture(pixels, (wraps[0] == CLAMP, wraps[1] == CLAMP), uv_set, matrix)


def _read_image(file: GltfFile, texture: dict) -> np.ndarray | None:
    """Return the image (H, W, 4) of a texture, None where it is missing or damaged."""
    extensions = texture.get("extensions", {})
    sources = [texture, *(extensions[name] for name in IMAGE_EXTENSIONS if name in extensions)]
    i = next((item["source"] for item in sources if "source" in item), None)
    if i is None:
        file.assets.note(f"texture without an image that can be read: {', '.join(extensions)}")
        return None
    image = file.items("images")[i]
    if "uri" in image and not image["uri"].startswith("data:"):
        return file.assets.get_image(image["uri"])
    if i not in file.images:
        is_uri = "uri" in image
        content = file.read_uri(image["uri"]) if is_uri else file.view(image["bufferView"])[0]
        name = image.get("name") or f"image {i}"
        file.images[i] = file.assets.decode_image(content, name)
    return file.images[i]


def _uv_matrix(transform: dict) -> np.ndarray:
    """Return KHR_texture_transform as a matrix (2, 3)."""
    angle, scale = transform.get("rotation", 0), transform.get("scale", (1, 1))
    c, s = np.cos(angle), np.sin(angle)
    linear = np.array([[c, s], [-s, c]]) * scale
    return np.column_stack([linear, transform.get("offset", (0, 0))])


def _add_emission(file: GltfFile, material: GltfMaterial, entry: dict) -> None:
    """Add emitted light to the base color."""
    strength = entry.get("extensions", {}).get("KHR_materials_emissive_strength", {})
    emission = np.array(entry.get("emissiveFactor", (0, 0, 0)), float)
    emission = emission * strength.get("emissiveStrength", 1)
    if not emission.any():
        return
    glow = _read_texture(file, entry.get("emissiveTexture"))
    if material.texture is None and glow is None:
        material.factor = np.clip(material.factor + np.append(emission, 0), 0, 1)
        return
    if material.texture is None:
        material.texture = glow._replace(pixels=np.full_like(glow.pixels, 255))
    pixels = srgb_to_linear(material.texture.pixels) * [*material.factor[:3], 1]
    if glow is not None:
        opaque = Image.fromarray(glow.pixels | np.uint8([0, 0, 0, 255]))
        image = opaque.resize(pixels.shape[1::-1])
        emission = srgb_to_linear(np.asarray(image))[..., :3] * emission
    pixels[..., :3] += emission
    material.texture = material.texture._replace(pixels=linear_to_srgb(pixels))
    material.factor = np.array([1, 1, 1, material.factor[3]])


def _apply_alpha_mode(material: GltfMaterial, entry: dict) -> None:
    """Let the alpha blend, or make it 0 or 1 by a threshold, or 1."""
    mode = entry.get("alphaMode", "OPAQUE")
    if mode == "BLEND":
        material.is_blended = True
        return
    cutoff = entry.get("alphaCutoff", 0.5) if mode == "MASK" else 0
    *rgb, opacity = material.factor
    if material.texture is None:
        material.factor = np.array([*rgb, float(opacity >= cutoff)])
        return
    pixels = material.texture.pixels.copy()
    pixels[..., 3] = np.where(pixels[..., 3] / 255 * opacity >= cutoff, 255, 0)
    material.texture = material.texture._replace(pixels=pixels)
    material.factor = np.array([*rgb, 1])

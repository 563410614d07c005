"""Materials and textures of glTF 2.0, reduced to a base color."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from data.builder.mesh import GRAY, Texture, linear_to_srgb, srgb_to_linear
from data.builder.readers.gltf.buffers import GltfFile
from utils.errors import InputError

CLAMP, MIRROR = 33071, 33648
IMAGE_EXTENSIONS = ("EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds")


@dataclass
class GltfMaterial:
    """A linear RGBA factor in [0, 1], a texture, its uv set and their transform (2, 3)."""

    factor: np.ndarray
    texture: Texture | None = None
    uv_set: int = 0
    uv_matrix: np.ndarray | None = None
    is_blended: bool = False  # alpha shows what is behind it
    is_lit: bool = True

    def uv(self, uv: np.ndarray) -> np.ndarray:
        """Return texture coordinates (N, 2), v pointing up, of the file's, v pointing down."""
        uv = np.insert(uv, 2, 1, axis=1) @ self.uv_matrix.T
        return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)


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
    material = GltfMaterial(factor, is_lit="KHR_materials_unlit" not in extensions)
    material = _with_texture(file, material, info)
    if info is not None and material.texture is None:
        material.factor = factor * srgb_to_linear(np.uint8(GRAY))
    return _with_alpha_mode(_with_emission(file, material, entry), entry)


def _with_texture(file: GltfFile, material: GltfMaterial, info: dict | None) -> GltfMaterial:
    """Add the texture of a textureInfo; one that cannot be read is noted."""
    if info is None:
        return material
    try:
        entry = file.items("textures")[info["index"]]
        sampler = file.items("samplers")[entry["sampler"]] if "sampler" in entry else {}
        pixels = _read_image(file, entry)
    except (KeyError, IndexError, InputError) as error:
        file.assets.note(f"texture {info.get('index')} cannot be read: {error!r}")
        return material
    if pixels is None:
        return material
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


def _with_emission(file: GltfFile, material: GltfMaterial, entry: dict) -> GltfMaterial:
    """Add emitted light to the base color."""
    strength = entry.get("extensions", {}).get("KHR_materials_emissive_strength", {})
    emission = np.array(entry.get("emissiveFactor", (0, 0, 0)), float)
    emission = emission * strength.get("emissiveStrength", 1)
    if not emission.any():
        return material
    glow = _with_texture(file, replace(material, texture=None), entry.get("emissiveTexture"))
    if material.texture is None and glow.texture is None:
        return replace(material, factor=np.clip(material.factor + np.append(emission, 0), 0, 1))
    base = material
    if material.texture is None:
        white = np.full_like(glow.texture.pixels, 255)
        base = replace(glow, texture=glow.texture._replace(pixels=white))
    light = emission
    if glow.texture is not None:
        opaque = Image.fromarray(glow.texture.pixels | np.uint8([0, 0, 0, 255]))
        image = opaque.resize(base.texture.pixels.shape[1::-1])
        light = srgb_to_linear(np.asarray(image))[..., :3] * emission
    pixels = srgb_to_linear(base.texture.pixels) * [*base.factor[:3], 1]
    pixels[..., :3] += light
    texture = base.texture._replace(pixels=linear_to_srgb(pixels))
    return replace(base, factor=np.array([1, 1, 1, base.factor[3]]), texture=texture)


def _with_alpha_mode(material: GltfMaterial, entry: dict) -> GltfMaterial:
    """Apply the alpha mode: the alpha is 1, 0 or 1 by a threshold, or blends."""
    mode = entry.get("alphaMode", "OPAQUE")
    if mode == "BLEND":
        return replace(material, is_blended=True)
    cutoff = entry.get("alphaCutoff", 0.5) if mode == "MASK" else 0
    *rgb, opacity = material.factor
    if material.texture is None:
        return replace(material, factor=np.array([*rgb, float(opacity >= cutoff)]))
    pixels = material.texture.pixels.copy()
    pixels[..., 3] = np.where(pixels[..., 3] / 255 * opacity >= cutoff, 255, 0)
    texture = material.texture._replace(pixels=pixels)
    return replace(material, factor=np.array([*rgb, 1]), texture=texture)

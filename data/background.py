"""Find the object of a photograph, check what was found, and frame it as in the renderings."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from scipy import ndimage

from data.layout import RENDERING_SIZE
from data.reflections import find_reflection
from utils.errors import InputError

# The object's longer side has 90 of 137 pixels in the mean of 120 official renderings (51 to 119).
FRAMED_SIZE = 90

# Bounds of a plain background, set on 78 photographs and 134 composites with known masks. Colors
# are in 255ths.
COLOR_TOLERANCE = 16  # JPEG changes a plain background by this much
PLAIN_BORDER = 0.8  # this fraction of the border has one color
FLAT = 6  # an enclosed hole differs from the background by less, in the mean
MIN_HOLE = 0.001  # it takes this fraction of the image
MAX_FILLED = 0.97  # a picture within a frame fills more of its bounding box
SOFT_PIXELS = 2  # this close to the background, alpha follows the color

# Bounds of a shadow, set on 297 renderings with known masks.
MAX_SHADOW_CONTRAST = 18  # an object's edge has more over 3 pixels
MIN_AGREEMENT = 0.75  # a lower IoU of plain background and segmentation is a warning
MAX_BLACK, MAX_SHADOW_ALPHA = 30, 0.6  # in an alpha channel, darker and more translucent is shadow

# Bounds of a sound mask, fractions of the image, of its border or of what is visible.
MIN_OBJECT, MAX_OBJECT = 0.01, 0.97
MIN_VISIBLE, MIN_SURE = 0.15, 0.85  # alpha in between is unsure
MAX_UNSURE, WARN_UNSURE = 0.6, 0.35
MAX_AT_BORDER = 0.05
MAX_OTHER = 0.2  # more is another object
JOIN_DISTANCE = 0.015  # closer pieces are one; in longer sides of the image


@dataclass(frozen=True)
class Cutout:
    """The object of one image.

    Attributes:
        image: RGBA, 137×137, framed like a rendering.
        source: How the object was found: "mask", "alpha channel", "plain background",
            "segmentation"; "rendering" or "whole image" where the image was taken as it is.
        warnings: What may be wrong with it, one phrase each.
    """

    image: Image.Image
    source: str
    warnings: list[str] = field(default_factory=list)

    @property
    def caption(self) -> str:
        return self.source if self.source in ("rendering", "whole image") else "cut out"


def cut_out(
    image: Image.Image,
    mask: np.ndarray | None = None,
    segment: Callable[[Image.Image], np.ndarray] | None = None,
) -> Cutout:
    """Cut the object out of an image and frame it like a rendering.

    The object comes from the mask, else from the image's alpha channel, else from a plain
    background or segmentation.

    Args:
        image: RGBA. One of 137×137 pixels with alpha is a rendering and stays as it is.
        mask: (H, W) float32 in [0, 1].
        segment: Maps an RGB image (W, H) to the probability (H, W) of the object, in [0, 1].

    Raises:
        InputError: If the object cannot be found.
    """
    alpha = _opacity(image)
    has_alpha = (alpha < 0.5).mean() > 1 - MAX_OBJECT
    if mask is None and not has_alpha:
        alpha, warnings, source = _find_object(image, segment)
    elif mask is None and image.size == (RENDERING_SIZE, RENDERING_SIZE) and alpha.any():
        return Cutout(image, "rendering")
    else:
        source = "alpha channel" if mask is None else "mask"
        alpha, warnings = clean_mask(alpha if mask is None else mask)
    return Cutout(crop_to_object(with_alpha(image, alpha)), source, warnings)


def _opacity(image: Image.Image) -> np.ndarray:
    """Return the alpha channel of an RGBA image, (H, W) float32, without shadows.

    A shadow is black and translucent. An object that is mostly translucent, as glass, is solid.
    """
    alpha = np.asarray(image.getchannel("A"), np.float32) / 255
    alpha /= max(alpha.max(), 1 / 255)
    is_black = np.asarray(image.convert("RGB")).max(-1) <= MAX_BLACK
    alpha = np.where(is_black & (alpha < MAX_SHADOW_ALPHA), 0, alpha)
    visible = alpha > MIN_VISIBLE
    translucent = visible & (alpha < MIN_SURE)
    return visible.astype(np.float32) if translucent.sum() > WARN_UNSURE * visible.sum() else alpha


def _find_object(image: Image.Image, segment) -> tuple[np.ndarray, list[str], str]:
    """Return the mask (H, W) of an object, its warnings, and how it was found.

    Segmentation may miss thin legs, and a plain background keeps shadows. So segmentation removes
    shadows from the mask by a plain background, and replaces that mask where it is more doubtful.
    """
    candidates, probability, reasons = [], None, []
    if segment is not None:
        try:
            probability = segment(image.convert("RGB"))
            candidates.append((*clean_mask(probability), "segmentation"))
        except InputError as error:
            probability = None
            reasons.append(f"segmentation: {error}")
    try:
        alpha = plain_background_alpha(image, probability)
        candidates.insert(0, (*clean_mask(alpha), "plain background"))  # first: it wins ties
    except InputError as error:
        reasons.append(f"plain background: {error}")
    if not candidates:
        raise InputError(f"{'; '.join(reasons)}; make the background transparent")
    alpha, warnings, source = min(candidates, key=lambda candidate: len(candidate[1]))
    if len(candidates) == 2:
        first, second = (candidate[0] >= 0.5 for candidate in candidates)
        agreement = (first & second).sum() / (first | second).sum()
        if agreement < MIN_AGREEMENT:
            both = "plain background and segmentation"
            warnings.append(f"{both} agree on {agreement:.0%} of the object only")
    elif source == "plain background":
        warnings += reasons
    if (row := find_reflection(image, alpha)) is not None:
        alpha[row:] = 0
        warnings.append("what looks like a reflection under the object was left out")
    return alpha, warnings, source


def plain_background_alpha(image: Image.Image, probability: np.ndarray | None = None) -> np.ndarray:
    """Separate an object from a background of one color.

    The background is what is nearly of the border's median color, and connected to the border or
    in a hole of the object; and shadows, if the object's `probability` (H, W) is given. Pixels
    beside it, which mix both, become partly transparent.

    Returns:
        np.ndarray: (H, W) float32 in [0, 1].

    Raises:
        InputError: If the background is not plain, or all that is left is a filled rectangle.
    """
    colors = np.asarray(image.convert("RGB"), np.float32)
    border = _border(colors)
    background = np.median(border, axis=0)
    if (np.abs(border - background).max(-1) <= COLOR_TOLERANCE).mean() < PLAIN_BORDER:
        raise InputError("the border has several colors")
    outside = _background_regions(np.abs(colors - background).max(-1), probability)
    rows, columns = np.nonzero(~outside)
    if not len(rows) or (~outside).sum() > MAX_FILLED * np.ptp(rows) * np.ptp(columns):
        raise InputError("found a blank or framed image")
    if probability is not None:
        outside = _add_shadows(outside, colors, probability < 0.5)
    return _soften(outside, colors)


def _background_regions(difference: np.ndarray, probability: np.ndarray | None) -> np.ndarray:
    """Return where an image is background, from its difference (H, W) to the background's color."""
    regions, num_regions = ndimage.label(difference <= COLOR_TOLERANCE)
    labels = np.arange(1, num_regions + 1)
    is_hole = ndimage.mean(difference, regions, labels) <= FLAT
    if probability is not None:
        is_hole |= ndimage.mean(probability, regions, labels) < 0.5
    is_hole &= np.bincount(regions.ravel())[1:] >= MIN_HOLE * regions.size
    on_border = np.isin(labels, _border(regions))
    return np.isin(regions, labels[on_border | is_hole])


def _add_shadows(outside: np.ndarray, colors: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Extend the background over what is smooth, connected to it, and rejected by segmentation."""
    colors = ndimage.gaussian_filter(colors, (1, 1, 0))
    contrast = ndimage.morphological_gradient(colors, (3, 3, 1)).max(-1)  # within 3×3 pixels
    regions, _ = ndimage.label(outside | rejected & (contrast < MAX_SHADOW_CONTRAST))
    extended = np.isin(regions, np.unique(regions[outside]))
    # Both filters spread an edge over the pixels beside it.
    beside = ndimage.binary_dilation(extended & ~outside, iterations=SOFT_PIXELS)
    return extended | beside & rejected


def _soften(outside: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return an alpha (H, W) of 0 outside, and partly transparent where pixels mix both sides."""
    beside = ndimage.binary_dilation(outside, iterations=SOFT_PIXELS) & ~outside
    difference = np.abs(colors - _nearest(colors, outside)).max(-1)
    # How far the object's own color, the farthest nearby, is from the background's.
    own = ndimage.maximum_filter(difference, size=2 * SOFT_PIXELS + 1)
    mixed = (difference / np.maximum(own, 1)).clip(0, 1)
    return np.where(outside, 0, np.where(beside, mixed, 1)).astype(np.float32)


def _nearest(colors: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return the color (H, W, 3) of the nearest pixel in a region (H, W)."""
    indices = ndimage.distance_transform_edt(~region, return_distances=False, return_indices=True)
    return colors[tuple(indices)]


def clean_mask(alpha: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Keep the main piece of a mask (H, W) in [0, 1], and say what is doubtful about it.

    Raises:
        InputError: If the mask is empty, nearly full, or mostly unsure.
    """
    coverage = (alpha >= 0.5).mean()
    if not MIN_OBJECT <= coverage <= MAX_OBJECT:
        raise InputError(f"found no object: the mask covers {coverage:.1%} of the image")
    alpha, others = _main_piece(alpha)
    visible, solid = alpha > MIN_VISIBLE, alpha >= 0.5
    unsure = (visible & (alpha < MIN_SURE)).sum() / visible.sum()
    if unsure > MAX_UNSURE:
        raise InputError(f"found no clear outline: {unsure:.0%} of the object is unsure")
    warnings = []
    if unsure > WARN_UNSURE:
        warnings.append(f"{unsure:.0%} of the object is unsure")
    if (at_border := _border(solid).mean()) > MAX_AT_BORDER:
        warnings.append(f"the object is cut off by the frame ({at_border:.0%} of the border)")
    if others > MAX_OTHER:
        warnings.append(f"another object was left out ({others:.0%} of what was found)")
    return alpha, warnings


def _main_piece(alpha: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a mask's large and central piece, and the fraction of its mass in other pieces."""
    solid = alpha >= 0.5
    # Pieces that are close to each other are one.
    distance = max(1, round(JOIN_DISTANCE * max(alpha.shape)))
    near = ndimage.distance_transform_edt(~solid) <= distance
    regions, num_regions = ndimage.label(near)
    labels = np.arange(1, num_regions + 1)
    mass = ndimage.sum(np.where(solid, alpha, 0), regions, labels)
    centers = np.array(ndimage.center_of_mass(solid, regions, labels))  # (N, 2)
    offset = np.linalg.norm(2 * centers / alpha.shape - 1, axis=1) / np.sqrt(2)  # 1 in a corner
    main = np.argmax(mass * (1 - offset / 2))
    return np.where(regions == labels[main], alpha, 0), 1 - mass[main] / mass.sum()


def crop_to_object(image: Image.Image) -> Image.Image:
    """Center what is visible in an RGBA image and scale its longer side to 90 of 137 pixels."""
    left, top, right, bottom = image.getchannel("A").point(lambda a: 255 * (a >= 128)).getbbox()
    side = round(max(right - left, bottom - top) * RENDERING_SIZE / FRAMED_SIZE)
    corner = round((left + right - side) / 2), round((top + bottom - side) / 2)
    # Beyond the image, crop is transparent.
    window = image.crop((*corner, corner[0] + side, corner[1] + side))
    return window.resize((RENDERING_SIZE, RENDERING_SIZE), Image.Resampling.LANCZOS)


def _border(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])


def with_alpha(image: Image.Image, alpha: np.ndarray) -> Image.Image:
    """Set the alpha of an image, and take the background's color out of pixels that mix both."""
    colors = np.asarray(image.convert("RGB"), np.float32)
    outside = alpha < 0.02
    if outside.any():
        mixed = ((alpha > 0.02) & (alpha < 0.98))[..., None]
        opacity = np.maximum(alpha, 0.1)[..., None]
        pure = (colors - (1 - opacity) * _nearest(colors, outside)) / opacity
        colors = np.where(mixed, pure.clip(0, 255), colors)
    pixels = np.dstack([colors, 255 * alpha])
    return Image.fromarray(pixels.round().astype(np.uint8))

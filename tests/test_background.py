import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from data.background import FRAMED_SIZE, clean_mask, cut_out, plain_background_alpha
from models.u2net import Segmenter
from utils.errors import InputError

BROWN, WHITE = (150, 60, 40), (255, 255, 255)


def draw_chair(background, color=BROWN, leg_width=20) -> Image.Image:
    """A back, a seat and two legs, with the background between the legs and in the back."""
    is_image = isinstance(background, Image.Image)
    image = background.copy() if is_image else Image.new("RGB", (400, 300), background)
    draw = ImageDraw.Draw(image)
    draw.rectangle((150, 40, 249, 139), color)
    draw.rectangle((180, 60, 219, 99), image.getpixel((0, 0)))
    for left in (150, 250 - leg_width):
        draw.rectangle((left, 140, left + leg_width - 1, 239), color)
    return image


def chair_mask(leg_width=20) -> np.ndarray:
    chair = draw_chair("black", "white", leg_width)
    return np.asarray(chair.convert("L"), np.float32) / 255


def draw_shadow(strength=90) -> Image.Image:
    """A white background that gets darker, by at most `strength`, where the chair stands."""
    shadow = np.zeros((300, 400))
    shadow[215:255, 110:290] = strength
    gray = 255 - ndimage.gaussian_filter(shadow, 12)
    return Image.fromarray(gray.astype(np.uint8)).convert("RGB")


def draw_clutter() -> Image.Image:
    """Blurred noise, with nothing plain along the border."""
    noise = np.random.default_rng(0).uniform(size=(300, 400, 3))
    blurred = ndimage.gaussian_filter(noise, (12, 12, 0))
    contrast = (blurred - blurred.min()) / np.ptp(blurred)
    return Image.fromarray((255 * contrast).astype(np.uint8))


def visible_box(image: Image.Image):
    rows, columns = np.nonzero(np.asarray(image)[..., 3] >= 128)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def iou(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first >= 0.5, second >= 0.5
    return (first & second).sum() / (first | second).sum()


def test_reflection_is_left_out_with_a_warning():
    image = draw_chair(WHITE, leg_width=30).convert("RGBA")
    clean = cut_out(image)
    pixels = np.asarray(image.convert("RGB"), np.float32)
    fade = np.linspace(0.5, 0.2, 60)[:, None, None]
    mirrored = pixels.copy()
    mirrored[240:] = 255 - fade * (255 - pixels[180:240][::-1])
    cutout = cut_out(Image.fromarray(mirrored.astype(np.uint8)).convert("RGBA"))
    assert clean.warnings == [] and any("reflection" in text for text in cutout.warnings)
    assert iou(*(np.asarray(c.image)[..., 3] / 255 for c in (clean, cutout))) > 0.95


@pytest.mark.parametrize("background", [WHITE, (200, 210, 220), (10, 10, 30)])
def test_plain_background_is_removed_and_object_framed(tmp_path, background):
    draw_chair(background).save(tmp_path / "a.jpg")
    image = Image.open(tmp_path / "a.jpg").convert("RGBA")
    image.putalpha(254)  # as good as opaque
    cutout = cut_out(image)
    left, top, right, bottom = visible_box(cutout.image)
    assert cutout.source == "plain background" and not cutout.warnings
    assert (right - left, bottom - top) == pytest.approx((FRAMED_SIZE / 2, FRAMED_SIZE), abs=2)
    assert (left + right, top + bottom) == pytest.approx((137, 137), abs=3)


def test_enclosed_holes_are_background_and_shaded_parts_of_its_color_are_not():
    pixels = np.array(draw_chair(WHITE))
    pixels[50:130, 225:245] = np.linspace(240, 250, 80).astype(np.uint8)[:, None, None]
    alpha = plain_background_alpha(Image.fromarray(pixels))
    assert alpha[80, 200] == 0 and alpha[200, 200] == 0  # in the back, between the legs
    assert alpha[60, 160] == 1 and alpha[200, 160] == 1 and alpha[90, 235] == 1


def test_clutter_blank_and_framed_images_have_no_plain_background():
    framed = Image.new("RGB", (440, 340), "white")
    framed.paste(draw_clutter(), (20, 20))
    for image in (draw_clutter(), Image.new("RGB", (90, 90), "white"), framed):
        with pytest.raises(InputError):
            plain_background_alpha(image)


@pytest.mark.parametrize("strength", [40, 90, 200])
def test_shadows_are_removed_and_thin_legs_are_kept(strength):
    image = draw_chair(draw_shadow(strength), leg_width=5).convert("RGBA")
    no_legs = chair_mask(leg_width=5)
    no_legs[150:] = 0
    cutout = cut_out(image, segment=lambda _: no_legs)
    expected = cut_out(image, chair_mask(leg_width=5))
    alphas = (np.asarray(c.image.getchannel("A")) / 255 for c in (cutout, expected))
    assert cutout.source == "plain background" and iou(*alphas) > 0.9


def test_bundled_segmentation_finds_the_shadow_and_a_chair_in_clutter():
    segment = Segmenter()
    image = draw_chair(draw_shadow())
    assert iou(plain_background_alpha(image, segment(image)), chair_mask()) > 0.97
    assert iou(segment(draw_chair(draw_clutter(), (40, 40, 120))), chair_mask()) > 0.8


def test_disagreement_with_segmentation_is_a_warning():
    image = draw_chair(WHITE).convert("RGBA")
    assert not cut_out(image, segment=lambda _: chair_mask()).warnings
    (warning,) = cut_out(image, segment=lambda _: np.roll(chair_mask(), 60, axis=1)).warnings
    assert "agree" in warning


def test_edges_are_soft_and_lose_the_background_color():
    image = draw_chair(WHITE).resize((200, 150), Image.Resampling.BOX)
    image = image.resize((411, 309), Image.Resampling.BILINEAR).convert("RGBA")
    pixels = np.asarray(cut_out(image).image).astype(int)
    visible = pixels[pixels[..., 3] >= 128]
    assert np.abs(visible[:, :3] - BROWN).max(axis=1).mean() < 8
    assert ((pixels[..., 3] > 40) & (pixels[..., 3] < 215)).any()


@pytest.mark.parametrize("color", [(255, 255, 255, 255), (255, 255, 255, 100), (0, 0, 0, 100)])
def test_alpha_marks_the_object_even_if_it_is_glass(color):
    image = Image.new("RGBA", (400, 300), (255, 255, 255, 0))
    ImageDraw.Draw(image).rectangle((50, 50, 249, 89), color)
    cutout = cut_out(image)
    left, top, right, bottom = visible_box(cutout.image)
    assert cutout.source == "alpha channel" and not cutout.warnings
    assert (right - left, bottom - top) == pytest.approx((FRAMED_SIZE, FRAMED_SIZE / 5), abs=2)


def test_rendering_is_not_changed():
    image = Image.new("RGBA", (137, 137))
    ImageDraw.Draw(image).rectangle((10, 10, 40, 40), (1, 2, 3, 255))
    assert cut_out(image).image.tobytes() == image.tobytes()
    with pytest.raises(InputError):
        cut_out(Image.new("RGBA", (137, 137)))


def test_clutter_goes_to_the_segmenter_or_is_refused():
    image = draw_chair(draw_clutter()).convert("RGBA")
    with pytest.raises(InputError, match="background"):
        cut_out(image)
    cutout = cut_out(image, segment=lambda _: 0.9 * chair_mask())
    _, top, _, bottom = visible_box(cutout.image)
    assert cutout.source == "segmentation" and bottom - top == pytest.approx(90, abs=2)


@pytest.mark.parametrize("value, size", [(0, 0), (1, 5), (1, 100), (0.6, 80)])
def test_empty_tiny_full_and_unsure_masks_are_refused(value, size):
    with pytest.raises(InputError):
        clean_mask(mask_of((slice(0, size), slice(0, size), value)))


def mask_of(*boxes) -> np.ndarray:
    """A mask of 100×100 pixels with boxes (rows, columns, value)."""
    mask = np.zeros((100, 100))
    for rows, columns, value in boxes:
        mask[rows, columns] = value
    return mask


CENTER = (slice(30, 70), slice(30, 60), 1)


@pytest.mark.parametrize(
    ("boxes", "warning"),
    [
        ([(slice(60, 100), slice(20, 80), 1)], "cut off"),
        ([CENTER, (slice(40, 60), slice(70, 90), 1)], "another object"),
        ([CENTER, (slice(30, 70), slice(60, 90), 0.6)], "unsure"),
    ],
)
def test_doubtful_masks_are_named(boxes, warning):
    (found,) = clean_mask(mask_of(*boxes))[1]
    assert warning in found


def test_near_pieces_are_one_object_and_a_central_piece_beats_one_in_the_corner():
    near = mask_of(CENTER, (slice(71, 90), slice(30, 60), 1))
    assert np.array_equal(clean_mask(near)[0], near) and not clean_mask(near)[1]
    central = slice(40, 60), slice(40, 60), 1
    corners = mask_of(central, (slice(0, 21), slice(0, 21), 1))
    assert np.array_equal(clean_mask(corners)[0], mask_of(central))

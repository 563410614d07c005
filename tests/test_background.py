import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from data.background import (
    FRAMED_SIZE,
    clean_mask,
    crop_to_object,
    cut_out,
    plain_background_alpha,
)
from data.photographs import read_photograph
from models.u2net import Segmenter
from tests.helpers import SHARED
from utils.errors import InputError


def draw_chair(background, size=(400, 300), color=(150, 60, 40)) -> Image.Image:
    """A back, a seat and two legs, with the background between the legs and in the back."""
    image = (
        background if isinstance(background, Image.Image) else Image.new("RGB", size, background)
    )
    draw = ImageDraw.Draw(image)
    draw.rectangle((150, 40, 249, 139), color)
    hole = image.getpixel((0, 0))
    draw.rectangle((180, 60, 219, 99), hole)
    for left in (150, 230):
        draw.rectangle((left, 140, left + 19, 239), color)
    return image


def draw_room(seed=0) -> Image.Image:
    """Walls, a floor and a window, blurred and noisy, with nothing plain along the border."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (400, 300), (180, 170, 150))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 190, 399, 299), (90, 60, 45))
    draw.rectangle((10, 10, 100, 120), (140, 170, 200))
    draw.rectangle((300, 0, 399, 190), (120, 130, 120))
    noisy = np.asarray(image) + rng.normal(0, 12, (300, 400, 3))
    return Image.fromarray(ndimage.gaussian_filter(noisy, (1, 1, 0)).clip(0, 255).astype(np.uint8))


def visible_box(image: Image.Image):
    rows, columns = np.nonzero(np.asarray(image)[..., 3] >= 128)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("background", [(255, 255, 255), (200, 210, 220), (10, 10, 30)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_plain_background_is_removed_and_object_framed(tmp_path, background, ending):
    draw_chair(background).save(tmp_path / f"a.{ending}")
    cutout = cut_out(read_photograph(tmp_path / f"a.{ending}"))
    assert cutout.source == "plain background" and not cutout.warnings
    left, top, right, bottom = visible_box(cutout.image)
    assert cutout.image.size == (137, 137)
    assert bottom - top == pytest.approx(FRAMED_SIZE, abs=2)
    assert right - left == pytest.approx(FRAMED_SIZE / 2, abs=2)
    assert (left + right, top + bottom) == pytest.approx((137, 137), abs=3)


def test_enclosed_holes_are_background_too():
    alpha = plain_background_alpha(draw_chair((255, 255, 255)))
    assert alpha[80, 200] == 0 and alpha[200, 200] == 0  # in the back, between the legs
    assert alpha[60, 160] == 1 and alpha[200, 160] == 1


def test_shaded_parts_of_the_background_color_are_kept():
    image = draw_chair((255, 255, 255))
    shade = np.asarray(image).copy()
    shade[50:130, 225:245] = np.linspace(240, 250, 80).astype(np.uint8)[:, None, None]
    assert plain_background_alpha(Image.fromarray(shade))[90, 235] == 1


@pytest.mark.parametrize("image", [draw_room(), Image.new("RGB", (90, 90), "white")])
def test_clutter_and_blank_images_are_no_plain_background(image):
    assert plain_background_alpha(image) is None


def test_framed_image_is_no_plain_background():
    framed = Image.new("RGB", (440, 340), "white")
    framed.paste(draw_room(), (20, 20))
    assert plain_background_alpha(framed) is None


def test_edges_are_soft_and_lose_the_background_color(tmp_path):
    image = draw_chair((255, 255, 255)).resize((200, 150), Image.Resampling.BOX)
    image.resize((411, 309), Image.Resampling.BILINEAR).save(tmp_path / "a.png")
    pixels = np.asarray(cut_out(read_photograph(tmp_path / "a.png")).image).astype(int)
    visible = pixels[pixels[..., 3] >= 128]
    assert np.abs(visible[:, :3] - (150, 60, 40)).max(axis=1).mean() < 8
    assert ((pixels[..., 3] > 40) & (pixels[..., 3] < 215)).any()


def test_alpha_marks_the_object(tmp_path):
    image = Image.new("RGBA", (400, 300), (255, 255, 255, 0))
    ImageDraw.Draw(image).rectangle((50, 50, 249, 89), (255, 255, 255, 255))
    image.save(tmp_path / "a.png")
    cutout = cut_out(read_photograph(tmp_path / "a.png"))
    left, top, right, bottom = visible_box(cutout.image)
    assert cutout.source == "alpha channel"
    assert (right - left, bottom - top) == pytest.approx((FRAMED_SIZE, FRAMED_SIZE / 5), abs=2)


def test_rendering_is_not_changed(tmp_path):
    image = Image.new("RGBA", (137, 137))
    ImageDraw.Draw(image).rectangle((10, 10, 40, 40), (1, 2, 3, 255))
    image.save(tmp_path / "a.png")
    assert cut_out(read_photograph(tmp_path / "a.png")).image.tobytes() == image.tobytes()
    with pytest.raises(InputError):
        cut_out(Image.new("RGBA", (137, 137)))


def test_mask_overrides_alpha_and_background():
    mask = np.zeros((300, 400), np.float32)
    mask[40:90, 150:250] = 1
    cutout = cut_out(draw_chair((255, 255, 255)).convert("RGBA"), mask)
    left, top, right, bottom = visible_box(cutout.image)
    assert cutout.source == "mask" and (right - left) / (bottom - top) == pytest.approx(2, rel=0.1)


def test_clutter_goes_to_the_segmenter_or_is_refused():
    image = draw_chair(draw_room()).convert("RGBA")
    with pytest.raises(InputError, match="mask"):
        cut_out(image)

    def segment(image):
        probability = np.zeros((image.height, image.width), np.float32)
        probability[40:240, 150:250] = 0.9
        return probability

    cutout = cut_out(image, segment=segment)
    assert cutout.source == "segmentation"
    assert visible_box(cutout.image)[3] - visible_box(cutout.image)[1] == pytest.approx(90, abs=2)


def test_shredded_mask_is_replaced_by_segmentation():
    image = draw_chair((255, 255, 255)).convert("RGBA")
    for x in range(151, 250, 4):  # specks around the chair
        for y in range(3, 38, 4):
            image.putpixel((x, y), (0, 0, 0, 255))
    (warning,) = cut_out(image).warnings
    assert "pieces" in warning

    def segment(image):
        probability = np.zeros((image.height, image.width), np.float32)
        probability[40:240, 150:250] = 1
        return probability

    cutout = cut_out(image, segment=segment)
    assert cutout.source == "segmentation" and not cutout.warnings
    assert cut_out(image, segment=lambda image: 0 * segment(image)).source == "plain background"


def test_opaque_alpha_is_ignored():
    image = draw_chair((255, 255, 255)).convert("RGBA")
    image.putalpha(254)
    assert cut_out(image).source == "plain background"


@pytest.mark.parametrize("value, size", [(0, 0), (1, 5), (1, 100), (0.6, 80)])
def test_empty_tiny_full_and_unsure_masks_are_refused(value, size):
    alpha = np.zeros((100, 100))
    alpha[:size, :size] = value
    with pytest.raises(InputError):
        clean_mask(alpha)


def test_doubtful_masks_are_named():
    cut_off = np.zeros((100, 100))
    cut_off[60:, 20:80] = 1
    assert "cut off" in clean_mask(cut_off)[1][0]
    two = np.zeros((100, 100))
    two[30:70, 30:60] = two[40:60, 70:90] = 1
    alpha, (warning,) = clean_mask(two)
    assert "another object" in warning and not alpha[50, 80] and alpha[50, 50]
    unsure = np.zeros((100, 100))
    unsure[20:80, 20:80], unsure[20:80, 20:52] = 1, 0.6
    assert "unsure" in clean_mask(unsure)[1][0]


def test_near_pieces_are_one_object_and_soft_alpha_is_kept():
    mask = np.zeros((200, 200))
    mask[50:100, 50:100], mask[103:150, 50:100], mask[50:150, 100] = 1, 1, 0.3
    alpha, warnings = clean_mask(mask)
    np.testing.assert_array_equal(alpha, mask)
    assert not warnings


def test_central_piece_beats_a_slightly_larger_corner_piece():
    mask = np.zeros((100, 100))
    mask[40:60, 40:60] = mask[0:21, 0:21] = 1
    alpha, _ = clean_mask(mask)
    assert alpha[50, 50] and not alpha[5, 5]


def test_framing_reaches_beyond_the_image():
    image = Image.new("RGBA", (100, 100))
    ImageDraw.Draw(image).rectangle((0, 0, 99, 49), (9, 9, 9, 255))
    left, top, right, bottom = visible_box(crop_to_object(image))
    assert (right - left, bottom - top) == pytest.approx((90, 45), abs=1)
    assert (left + right, top + bottom) == pytest.approx((137, 137), abs=2)


def test_u2net_finds_a_chair_in_a_room():
    image = draw_chair(draw_room(), color=(40, 40, 120))
    probability = Segmenter()(image)
    truth = np.abs(np.asarray(image).astype(int) - (40, 40, 120)).max(-1) < 2
    overlap = ((probability >= 0.5) & truth).sum() / ((probability >= 0.5) | truth).sum()
    assert overlap > 0.8


def test_clutter_of_a_user_reaches_the_network():
    if not (SHARED / "cases").is_dir():
        pytest.skip("../shared/cases is not here")
    cutout = cut_out(
        read_photograph(SHARED / "cases" / "01-clutter" / "room.png"), segment=Segmenter()
    )
    left, top, right, bottom = visible_box(cutout.image)
    assert bottom - top == pytest.approx(FRAMED_SIZE, abs=2) and right - left < 60

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data.photographs import FRAMED, load_photograph, remove_background
from data.transforms import load_image
from utils.errors import InputError


def photograph(background, object_colour=(150, 60, 40), size=(400, 300), box=(250, 40, 349, 239)):
    """A block with a hole of the background's color, drawn without alpha."""
    picture = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(box, object_colour)
    draw.rectangle((280, 100, 310, 130), background)
    return picture


def visible_box(picture):
    rows, columns = np.nonzero(np.asarray(picture)[..., 3] >= 128)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("background", [(255, 255, 255), (200, 210, 220), (10, 10, 30)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_an_object_on_a_plain_background_is_cut_out_centred_and_scaled(
    tmp_path, background, ending
):
    path = tmp_path / f"a.{ending}"
    photograph(background).save(path)
    picture = load_photograph(path)
    assert picture.size == (137, 137)
    left, top, right, bottom = visible_box(picture)
    assert bottom - top == pytest.approx(FRAMED, abs=2)
    assert right - left == pytest.approx(FRAMED / 2, abs=2)
    assert (left + right) / 2 == pytest.approx(137 / 2, abs=1.5)
    assert (top + bottom) / 2 == pytest.approx(137 / 2, abs=1.5)
    alpha = np.asarray(picture)[..., 3]
    assert alpha[0, 0] == 0 and alpha[68, 68] == 255  # the hole in the middle stays: it is inside


def test_the_edge_is_soft_and_keeps_nothing_of_the_background():
    white = Image.new("RGBA", (60, 60), "white")
    ImageDraw.Draw(white).rectangle((20, 20, 39, 39), (200, 0, 0))
    white.paste((227, 127, 127, 255), (40, 20, 41, 40))  # half the object, half the background
    pixels = np.asarray(remove_background(white))
    assert pixels[30, 40, 3] == pytest.approx(128, abs=3)
    assert pixels[30, 40, :3] == pytest.approx([200, 0, 0], abs=4)
    assert tuple(pixels[30, 39]) == (200, 0, 0, 255) and pixels[30, 42, 3] == 0


def test_alpha_is_used_where_there_is_any(tmp_path):
    picture = Image.new("RGBA", (400, 300), (255, 255, 255, 0))
    ImageDraw.Draw(picture).rectangle((10, 10, 109, 29), (255, 255, 255, 255))
    picture.save(tmp_path / "a.png")
    left, top, right, bottom = visible_box(load_photograph(tmp_path / "a.png"))
    assert (right - left, bottom - top) == pytest.approx((FRAMED, FRAMED / 5), abs=2)
    assert (left + right, top + bottom) == pytest.approx((137, 137), abs=2)


def test_an_object_at_the_border_is_cut_out_too(tmp_path):
    photograph((255, 255, 255), box=(250, 120, 349, 299)).save(tmp_path / "a.png")
    _, top, _, bottom = visible_box(load_photograph(tmp_path / "a.png"))
    assert bottom - top == pytest.approx(FRAMED, abs=2)


def test_a_picture_without_a_plain_background_is_left_whole(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    Image.new("RGB", (400, 300), "white").save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert load_photograph(tmp_path / name).tobytes() in (
            load_image(tmp_path / name).tobytes(),
            bytes(4 * 137 * 137),  # all background: nothing to see, and no error
        )


def test_a_rendering_is_left_as_it_is(dataset):
    path = dataset / "ShapeNetRendering/03001627/model00/rendering/00.png"
    assert load_photograph(path).tobytes() == load_image(path).tobytes()


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.png"):
        load_photograph(tmp_path / "a.png")


def test_the_armchair_is_framed_whole(real):
    for number in range(3):
        picture = load_photograph(real / f"photos/armchair/{number}.png")
        left, top, right, bottom = visible_box(picture)
        assert max(right - left, bottom - top) == pytest.approx(FRAMED, abs=2)
        alpha = np.asarray(picture)[..., 3]
        assert (alpha[:3] == 0).all() and (alpha[-3:] == 0).all()
        seen = alpha[top:bottom, left:right] >= 128
        assert 0.5 < seen.mean() < 0.9  # no hole, no background kept


def test_the_framing_is_that_of_the_official_renderings(real):
    sides = []
    for path in real.glob("ShapeNetRendering/*/*/rendering/*.png"):
        left, top, right, bottom = visible_box(Image.open(path))
        sides.append(max(right - left, bottom - top))
    assert np.mean(sides) == pytest.approx(FRAMED, abs=1)

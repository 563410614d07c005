import sys

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from data.photographs import find_images, mask_values, object_mask, read_photograph
from utils.errors import InputError


def gradient(mode="L", size=(64, 48)) -> Image.Image:
    ramp = np.linspace(0, 255, size[0] * size[1]).reshape(size[::-1]).astype(np.uint8)
    return Image.fromarray(ramp).convert(mode)


def swapped_srgb() -> bytes:
    """An sRGB profile with red in the place of green."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"gXYZ", b"?").replace(b"rXYZ", b"gXYZ").replace(b"?", b"rXYZ")


def test_16_bit_gray_equals_8_bit(tmp_path):
    gray = np.asarray(gradient())
    Image.fromarray(gray).save(tmp_path / "8.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "16.png")
    images = [np.asarray(read_photograph(tmp_path / f"{bits}.png")) for bits in (8, 16)]
    np.testing.assert_array_equal(*images)
    assert images[0][..., 0].std() > 50


@pytest.mark.parametrize(
    "mode, ending",
    [("P", "png"), ("CMYK", "jpg"), ("1", "png"), ("LA", "png"), ("LAB", "tif"), ("RGB", "avif")],
)
def test_every_mode_becomes_rgba(tmp_path, mode, ending):
    image = gradient("RGB").convert(mode) if mode == "LAB" else gradient(mode)
    image.save(tmp_path / f"a.{ending}")
    image = read_photograph(tmp_path / f"a.{ending}")
    assert image.mode == "RGBA" and image.size == (64, 48)
    assert image.getchannel("A").getextrema() == (255, 255)
    brightness = np.asarray(image.convert("L"), float)
    assert brightness[-8:].mean() - brightness[:8].mean() > 150


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    gradient("RGB").save(tmp_path / "a.jpg", exif=exif)
    assert read_photograph(tmp_path / "a.jpg").size == (48, 64)


@pytest.mark.parametrize(
    "profile, expected", [(swapped_srgb(), (60, 200, 10)), (b"damaged", (200, 60, 10))]
)
def test_color_profile_is_converted_to_srgb_unless_damaged(tmp_path, profile, expected):
    Image.new("RGB", (8, 8), (200, 60, 10)).save(tmp_path / "a.png", icc_profile=profile)
    pixel = np.asarray(read_photograph(tmp_path / "a.png"))[4, 4, :3].astype(int)
    np.testing.assert_allclose(pixel, expected, atol=2)


def test_jpeg_of_200_megapixels_is_read_and_others_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # Pillow would not write them
    Image.new("L", (16400, 12300), 200).save(tmp_path / "a.jpg")
    Image.new("1", (16400, 12300)).save(tmp_path / "a.png")
    monkeypatch.undo()
    assert read_photograph(tmp_path / "a.jpg").size == (1024, 768)
    with pytest.raises(InputError, match=r"a\.png: .* pixels.*scale the image down$"):
        read_photograph(tmp_path / "a.png")


def test_heic_names_the_package_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(InputError, match="pip install pillow-heif"):
        read_photograph(tmp_path / "a.heic")


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"no image", "not an image"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),  # a program
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><html>", "web page"),
        (b"<?xml version='1.0'?>\n<!-- saved -->\n<HTML>", "web page"),
    ],
)
def test_file_that_is_no_image_is_refused_by_name_and_reason(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.png: .*{reason}"):
        read_photograph(tmp_path / "a.png")


def test_mask_is_read_from_brightness_or_alpha(tmp_path):
    mask = Image.new("L", (40, 20))
    ImageDraw.Draw(mask).rectangle((0, 0, 19, 19), 255)
    mask.save(tmp_path / "brightness.png")
    alpha = Image.new("RGBA", (40, 20), (9, 9, 9, 255))
    alpha.putalpha(mask)
    alpha.save(tmp_path / "alpha.png")
    for name in ("brightness.png", "alpha.png"):
        values = mask_values(read_photograph(tmp_path / name), (80, 40))
        assert values.shape == (40, 80)
        assert values[20, 10] == 1 and values[20, 70] == 0


def test_mask_of_another_shape_than_the_image_is_refused():
    with pytest.raises(InputError, match=r"400:200.* 200:400"):
        object_mask(gradient("RGBA", (200, 400)), (400, 200))
    assert object_mask(gradient("RGBA", (201, 100)), (400, 200)).shape == (200, 400)


def test_folders_and_patterns_name_their_images_and_what_else_is_there(tmp_path):
    names = ["a.png", "b.JPG", "c[1].png", "d.jfif", "e.jpe", "f.pjpeg", "g.hif"]
    for name in (*names, "notes.txt", "._a.png"):
        (tmp_path / name).touch()
    (tmp_path / "masks.png").mkdir()
    images = [tmp_path / name for name in names]
    found, (note,) = find_images([str(tmp_path)])
    assert found == images
    assert "masks.png and 1 more" in note
    assert find_images([str(tmp_path / "[a-d]*")]) == (images[:4], [])
    assert find_images([str(path) for path in images]) == (images, [])  # brackets and all
    for path in (tmp_path / "*.gif", tmp_path / "masks.png"):
        with pytest.raises(InputError, match="no images"):
            find_images([str(path)])

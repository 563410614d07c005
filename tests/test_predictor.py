import numpy as np
import pytest
import torch
from PIL import Image

from data.background import cut_out
from data.photographs import read_photograph
from data.transforms import eval_transform, load_image
from models import save_network
from models.predictor import Predictor
from tests.helpers import DEMO_IMAGES, small_network
from utils.errors import InputError


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture
def photographs(tmp_path):
    photograph = Image.new("RGB", (300, 200), (250, 250, 250))
    photograph.paste((90, 30, 30), (10, 10, 90, 70))
    photograph.paste((90, 30, 30), (10, 70, 40, 120))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    photograph.save(paths[0])
    photograph.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(paths[1])
    return paths


@pytest.mark.parametrize("crop", [True, False])
def test_prediction_equals_the_network_output(network, photographs, crop):
    predictor = Predictor(network, crop=crop)
    load = (lambda path: cut_out(read_photograph(path)).image) if crop else load_image
    views = np.stack([eval_transform(load(path), 128) for path in photographs])
    batch = torch.from_numpy(views).permute(0, 3, 1, 2)[None] / 255
    with torch.no_grad():
        expected = [network(batch[:, :n])[0].softmax(0)[1].numpy() for n in (1, 2)]
    probs = predictor(photographs)
    assert probs.shape == (32, 32, 32) and probs.dtype == np.float32
    assert np.allclose(probs, expected[1], atol=1e-6)
    assert np.allclose(predictor(photographs, all_views=True), expected, atol=1e-6)


def test_mirror_averages_the_log_odds_from_the_views_and_from_the_mirrored_views(network):
    views = np.stack([eval_transform(load_image(path), 128) for path in DEMO_IMAGES])
    both = views, views[:, :, ::-1].copy()
    for all_views in (False, True):
        plain, mirrored = (Predictor(network).predict(v, all_views=all_views) for v in both)
        mean = (np.log(plain / (1 - plain)) + np.log(mirrored / (1 - mirrored))) / 2
        probs = Predictor(network, mirror=True).predict(views, all_views=all_views)
        assert np.allclose(probs, 1 / (1 + np.exp(-mean)), atol=1e-5)
        assert not np.allclose(probs, plain, atol=1e-3)


def test_masks_choose_the_object(network, photographs, tmp_path):
    mask = Image.new("L", (300, 200))
    mask.paste(255, (10, 10, 50, 70))
    mask.save(tmp_path / "mask.png")
    masks = [tmp_path / "mask.png", mask]
    left, right = (c.image for c in Predictor(network).cut_out(photographs[:1] * 2, masks))
    assert left.tobytes() == right.tobytes()
    assert left.getbbox() != Predictor(network).cut_out(photographs[0])[0].image.getbbox()
    with pytest.raises(InputError, match=r"a\.png: mask: "):
        Predictor(network)(photographs[0], Image.new("L", (200, 300), 255))
    with pytest.raises(InputError, match="mask: expected 2, one per image, got 1"):
        Predictor(network)(photographs, masks[:1])


def test_error_names_the_image_without_object(network, tmp_path):
    Image.new("RGB", (90, 90), "white").save(tmp_path / "blank.png")
    with pytest.raises(InputError, match=r"blank\.png"):
        Predictor(network)(tmp_path / "blank.png")


def test_paths_images_and_arrays_give_equal_predictions(network):
    predictor = Predictor(network)
    expected = predictor(DEMO_IMAGES)
    images = [Image.open(path) for path in DEMO_IMAGES]
    for same in ([*map(str, DEMO_IMAGES)], images, [*map(np.asarray, images)], tuple(images)):
        assert np.array_equal(predictor(same), expected)
    assert np.array_equal(predictor(DEMO_IMAGES[0]), predictor(DEMO_IMAGES[:1]))
    assert np.array_equal(predictor(np.asarray(images[0])), predictor(DEMO_IMAGES[:1]))
    gray = Image.new("L", (90, 60), 250)
    gray.paste(30, (20, 20, 50, 30))
    gray.paste(30, (20, 30, 30, 50))
    assert np.array_equal(predictor(gray), predictor(gray.convert("RGB")))


def test_tensors_and_folders_give_equal_predictions(network, photographs, tmp_path):
    predictor = Predictor(network)
    expected = predictor(photographs)
    arrays = np.stack([np.asarray(Image.open(path)) for path in photographs])
    pixels = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    for same in (str(tmp_path), arrays, pixels, pixels / 255, [*pixels], [tmp_path]):
        assert np.array_equal(predictor(same), expected)
    assert np.array_equal(predictor(pixels[0] / 255), predictor(photographs[0]))


def test_several_objects_give_a_batch(network, photographs):
    predictor = Predictor(network)
    first, second = predictor(photographs), predictor(photographs[:1])
    probs = predictor([photographs, photographs[:1]])
    assert np.array_equal(probs, [first, second])
    pixels = torch.stack([torch.from_numpy(np.array(Image.open(p))) for p in photographs])
    batch = pixels.permute(0, 3, 1, 2)[None].repeat(2, 1, 1, 1, 1)
    assert np.array_equal(predictor(batch), [first, first])
    masks = [[Image.new("L", (300, 200), 255)] * 2] * 2
    with pytest.raises(InputError, match="covers 100"):
        predictor(batch, masks)


def test_predictor_loads_a_file_and_finds_a_device(network, photographs, tmp_path):
    save_network(tmp_path / "a.safetensors", network)
    predictor = Predictor(tmp_path / "a.safetensors", device="auto", crop=False)
    expected = Predictor(network, crop=False)(photographs)
    assert np.allclose(predictor(photographs), expected, atol=1e-4)


def test_doubtful_cut_outs_are_warnings(network, photographs, tmp_path):
    image = Image.open(photographs[0]).crop((0, 0, 300, 200))
    image.paste((90, 30, 30), (0, 0, 120, 90))
    image.save(tmp_path / "cut_off.png")
    for source, name in ((image, "image 1"), (tmp_path / "cut_off.png", r"cut_off\.png")):
        with pytest.warns(UserWarning, match=rf"{name}: .*cut off by the frame.*pass masks"):
            Predictor(network)([photographs[0], source])


@pytest.mark.parametrize(
    "images",
    [
        [],
        [np.zeros((9, 9, 3))],
        [np.zeros((9, 9, 2), np.uint8)],
        ["absent.png"],
        torch.full((1, 3, 9, 9), 2.0),
        torch.full((1, 3, 9, 9), torch.nan),
        torch.zeros(3, 9, 9, dtype=torch.int64),
        torch.zeros(9, 9, 3),
        [3],
    ],
)
def test_bad_images_are_refused(network, images):
    with pytest.raises((InputError, OSError), match=r"images: |absent\.png"):
        Predictor(network)(images)


def test_half_precision_is_autocast(network):
    exact, half = (Predictor(network, precision=name)(DEMO_IMAGES) for name in ("fp32", "bf16"))
    assert half.dtype == np.float32 and 0 < np.abs(exact - half).max() < 0.05

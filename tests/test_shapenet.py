"""The index, samples and transforms of data/shapenet.py and data/transforms.py."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from data.datasets import open_dataset
from data.shapenet import SampleKey, ShapeNetDataset, collate, index_dataset
from data.transforms import load_image, train_transform
from tests.helpers import make_dataset
from utils.errors import InputError


def test_index_has_shapes_with_views_and_voxels_and_names_the_rest(tmp_path):
    root = make_dataset(tmp_path, {"03001627": 6})
    shutil.rmtree(root / "ShapeNetRendering/03001627/model01")
    shutil.rmtree(root / "ShapeNetVox32/03001627/model02")
    for image in (root / "ShapeNetRendering/03001627/model03/rendering").iterdir():
        image.unlink()
    (root / "ShapeNetVox32/03001627/model04/model.binvox").unlink()
    (root / "ShapeNetVox32/empty").mkdir()
    index = index_dataset(root)
    assert index.names == ["03001627/model00", "03001627/model05"]
    assert index.left_out == {
        "no views": ["03001627/model01", "03001627/model03"],
        "no voxels": ["03001627/model02", "03001627/model04"],
    }
    assert index.category(0) == "chair" and index.label(1) == "chair/model05"


@pytest.mark.parametrize("tree", ["ShapeNetRendering", "ShapeNetVox32"])
def test_no_usable_shape_and_missing_tree_are_errors(tmp_path, tree):
    root = make_dataset(tmp_path / "data", {"03001627": 1}, views=1)
    shutil.rmtree(root / tree / "03001627" / "model00")
    with pytest.raises(InputError, match="data: no shape"):
        index_dataset(root)
    shutil.rmtree(root / tree)
    with pytest.raises(InputError, match=tree):
        index_dataset(root)


def test_missing_folder_is_named_and_meshes_lead_to_the_builder(tmp_path):
    for root, missing in ((tmp_path / "absent", "absent"), (tmp_path, "ShapeNetRendering")):
        with pytest.raises(InputError, match=rf"{missing}: no such .*`python -m data\.builder` "):
            open_dataset(root, "", 0.1)


def test_views_are_found_by_number_and_other_files_are_named(tmp_path, capsys):
    root = make_dataset(tmp_path, {"03001627": 2}, views=4)
    folder = root / "ShapeNetRendering/03001627/model00/rendering"
    others = ["00 (1).png", "00_depth.png", "01.png.bak", "1.png", "notes.txt"]
    for name in (*others, "renderings.txt", "rendering_metadata.txt", ".DS_Store", "._00.png"):
        (folder / name).write_bytes((folder / "00.png").read_bytes())
    expected = ShapeNetDataset(index_dataset(root), 128)[0][0]
    (folder / "01.png").unlink()  # a gap
    (folder / "02.png").rename(folder / "120.png")
    index, _ = open_dataset(root, "", 0)
    assert list(index.views[0]) == [0, 3, 120] and list(index.views[1]) == [0, 1, 2, 3]
    assert "files that are not views: 5, such as" in capsys.readouterr().out
    found = ShapeNetDataset(index, 128)[0][0]
    assert np.array_equal(found, expected[[0, 3, 2]])
    for epoch in range(8):
        ShapeNetDataset(index, 128, augmentation="paper")[SampleKey(0, epoch, 3)]


def test_sample_depends_on_options_and_key_alone(dataset):
    index = index_dataset(dataset)
    samples = ShapeNetDataset(index, 128, seed=1, augmentation="paper")
    first = [samples[SampleKey(i, 1, 3)][0] for i in range(4)]
    again = [samples[SampleKey(i, 1, 3)][0] for i in reversed(range(4))]
    for a, b in zip(first, reversed(again), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first[0], samples[SampleKey(0, 2, 3)][0])
    other = ShapeNetDataset(index, 128, seed=2, augmentation="paper")
    assert not np.array_equal(first[0], other[SampleKey(0, 1, 3)][0])
    strong = ShapeNetDataset(index, 128, seed=1, augmentation="strong")
    assert not np.array_equal(first[0], strong[SampleKey(0, 1, 3)][0])


def test_dataset_takes_plain_indices(dataset):
    samples = ShapeNetDataset(index_dataset(dataset), 128)
    assert len(samples) == 15
    images, voxels, index = samples[3]
    assert images.shape == (5, 128, 128, 3) and images.dtype == np.uint8
    assert voxels.shape == (32, 32, 32) and voxels.dtype == np.uint8 and index == 3
    assert np.array_equal(images, samples[SampleKey(3, num_views=5)][0])
    assert samples[-1][2] == 14
    assert [index for _, _, index in samples] == list(range(15))
    with pytest.raises(IndexError):
        samples[15]


def test_evaluation_sample_is_the_center_crop_on_gray(dataset):
    index = index_dataset(dataset)
    samples = ShapeNetDataset(index, 128)
    images, voxels, _ = collate([samples[SampleKey(3, 0, 2)]])
    assert images.dtype == voxels.dtype == torch.uint8
    for view in range(2):
        with Image.open(index.image_path(3, view)) as image:
            pixels = np.asarray(image, np.float64)[4:132, 4:132]
        alpha = pixels[..., 3:] / 255
        expected = alpha * pixels[..., :3] + (1 - alpha) * 240
        assert np.abs(images[0, view].permute(1, 2, 0).numpy() - expected).max() <= 1


def test_train_transform_crops_flips_and_changes_the_background():
    image = Image.new("RGBA", (137, 137))
    image.paste((255, 0, 0, 255), (60, 50, 70, 60))
    seen = set()
    for seed in range(200):
        view = np.asarray(train_transform(image, 128, np.random.default_rng(seed))).astype(int)
        red = (view == [255, 0, 0]).all(-1)
        assert red.sum() == 100
        background = view[~red]
        assert (background == background[0]).all() and (background >= 225).all()
        top, left = np.argwhere(red)[0].tolist()
        seen.add((top, left, tuple(background[0])))
    tops, lefts, backgrounds = map(set, zip(*seen, strict=True))
    assert tops == set(range(41, 51))
    assert lefts == set(range(51, 61)) | set(range(128 - 70, 128 - 60))
    assert len(backgrounds) > 150


def test_strong_augmentation_varies_scale_light_and_colors_around_the_center():
    image = Image.new("RGBA", (137, 137))
    image.paste((120, 120, 120, 255), (48, 48, 89, 89))
    sides, colors = [], []
    for seed in range(100):
        view = train_transform(image, 128, np.random.default_rng(seed), "strong")
        view = np.asarray(view).astype(int)
        background = view[0, 0]
        assert (background >= 150).all()
        rows, columns = np.where((np.abs(view - background) > 3).any(-1))
        sides.append(np.ptp(rows) + 1)
        middle = rows.mean(), columns.mean()
        assert np.abs(np.array(middle) - 63.5).max() < 6.5
        colors.append(view[round(middle[0]), round(middle[1])])
    assert min(sides) in range(31, 38) and max(sides) in range(44, 50)
    light, tint = np.mean(colors, axis=1), np.ptp(colors, axis=1)
    assert light.min() < 75 and light.max() > 145 and tint.max() > 8


@pytest.mark.parametrize("size", [(137, 137), (64, 64), (500, 300), (20, 400), (1, 1)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
def test_load_image_scales_any_size_and_mode(tmp_path, size, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, size, 0).save(path)
    image = load_image(path)
    assert image.size == (137, 137) and image.mode == "RGBA"
    if mode == "RGB":
        left, top, right, bottom = image.getchannel("A").getbbox()
        assert max(right - left, bottom - top) == 137
        assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.2)


def test_categories_select_from_every_split(dataset, tmp_path, capsys):
    _, everything = open_dataset(dataset, "", 0.05)
    for name in ("table", "04379243"):
        _, splits = open_dataset(dataset, "", 0.05, name)
        assert splits == {split: [i for i in everything[split] if i >= 10] for split in everything}
    assert "of other categories: 10," in capsys.readouterr().out
    assert open_dataset(dataset, "", 0.05, "table, chair")[1] == everything
    with pytest.raises(InputError, match=r"categories: .*'lamp'.*chair, table"):
        open_dataset(dataset, "", 0.05, "chair,lamp")


def test_too_few_views_and_another_resolution_are_errors(dataset):
    index = index_dataset(dataset)
    with pytest.raises(InputError, match=r"model03/rendering: expected 6 views .* got 5"):
        ShapeNetDataset(index, 128)[SampleKey(3, 0, 6)]
    with pytest.raises(InputError, match=r"model\.binvox: expected 64³ voxels .*, got 32³"):
        ShapeNetDataset(index, 128, resolution=64)[0]

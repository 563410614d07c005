import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.loading import make_loader, open_dataset
from data.sampling import EvalBatchSampler, SampleKey, TrainBatchSampler
from data.shapenet import (
    ShapeNetDataset,
    ShapeNetIndex,
    collate,
    index_dataset,
    split_from_file,
    split_sorted,
)
from data.transforms import load_image, train_transform
from tests.helpers import make_dataset
from utils.errors import InputError


def test_only_objects_with_views_and_voxels_are_indexed_and_the_rest_is_counted(tmp_path):
    root = make_dataset(tmp_path, {"03001627": 6})
    shutil.rmtree(root / "ShapeNetRendering/03001627/model01")
    shutil.rmtree(root / "ShapeNetVox32/03001627/model02")
    for picture in (root / "ShapeNetRendering/03001627/model03/rendering").iterdir():
        picture.unlink()
    (root / "ShapeNetVox32/03001627/model04/model.binvox").unlink()
    index = index_dataset(root)
    assert index.names == ["03001627/model00", "03001627/model05"]
    assert index.left_out == {"no views": 2, "no voxels": 2}
    assert index.category(0) == "chair"


def test_the_split_is_80_20_of_sorted_names_with_validation_at_the_end_of_training(dataset):
    index = index_dataset(dataset)
    parts = split_sorted(index, val_fraction=0.25)
    assert parts == {
        "train": [0, 1, 2, 3, 4, 5, 10, 11, 12],
        "val": [6, 7, 13],
        "test": [8, 9, 14],
    }
    assert split_sorted(index, val_fraction=0)["val"] == []
    assert split_sorted(index, val_fraction=0.01)["val"] == [7, 13]


def test_excluded_objects_leave_every_part_and_move_no_other(tmp_path):
    root = make_dataset(tmp_path, {"03001627": 10}, views=1)
    before = split_sorted(index_dataset(root), 0.25)
    (root / "exclude.txt").write_text("# bad pictures\n03001627/model00\n", encoding="utf-8")
    after = split_sorted(index_dataset(root), 0.25)
    assert after == before | {"train": before["train"][1:]}


@pytest.mark.parametrize("variants", [1, 2, 3])
def test_variants_stay_in_the_part_of_their_original(variants):
    originals = [f"model{number:02d}" for number in range(13)]
    models = sorted(
        name + end for name in originals for end in ("", "+1", "+2", "+3")[: variants + 1]
    )
    index = ShapeNetIndex(Path("."), [f"chair/{model}" for model in models], np.ones(len(models)))
    parts = split_sorted(index, 0.3)
    assert sorted(p for members in parts.values() for p in members) == list(range(len(models)))
    seen = [{models[p].partition("+")[0] for p in members} for members in parts.values()]
    assert all(seen) and sum(map(len, seen)) == len(set.union(*seen)) == 13


def test_a_split_file_replaces_the_sorted_split(dataset, tmp_path):
    index = index_dataset(dataset)
    entry = {"taxonomy_id": "03001627", "taxonomy_name": "chair"}
    entry |= {"train": ["model03", "model01"], "val": ["model09"], "test": ["gone"]}
    path = tmp_path / "split.json"
    path.write_text(json.dumps([entry]), encoding="utf-8")
    parts, missing = split_from_file(index, path)
    assert parts == {"train": [1, 3], "val": [9], "test": []}
    assert missing == {"in the split, not on disk": 1, "on disk, not in the split": 12}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        "3",
        '[{"taxonomy_id": 1}]',
        '[{"taxonomy_id": "a", "train": [], "val": []}]',
        '[{"taxonomy_id": "a", "train": [1], "val": [], "test": []}]',
        '[{"taxonomy_id": "a", "train": ["x"], "val": ["x"], "test": []}]',
    ],
)
def test_a_bad_split_file_is_refused_by_name(dataset, tmp_path, content):
    path = tmp_path / "split.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"split\.json"):
        split_from_file(index_dataset(dataset), path)


def test_a_sample_depends_on_seed_epoch_and_position_alone(dataset):
    index = index_dataset(dataset)
    samples = ShapeNetDataset(index, 128, seed=1, training=True)
    first = [samples[SampleKey(position, 1, 3)][0] for position in range(4)]
    again = [samples[SampleKey(position, 1, 3)][0] for position in reversed(range(4))]
    for a, b in zip(first, reversed(again), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first[0], samples[SampleKey(0, 2, 3)][0])
    assert not np.array_equal(
        first[0], ShapeNetDataset(index, 128, seed=2, training=True)[SampleKey(0, 1, 3)][0]
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(dataset, workers):
    index = index_dataset(dataset)
    samples = ShapeNetDataset(index, 128, seed=0, training=True)
    batches = TrainBatchSampler(range(15), 4, 1, 3, seed=0)
    alone = list(make_loader(samples, batches, 0, pin=False))
    together = list(make_loader(samples, batches, workers, pin=False))
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2]


def test_an_epoch_draws_every_object_once_and_one_number_of_views_for_each_batch():
    batches = TrainBatchSampler(range(100, 150), 8, 1, 5, seed=0)
    epochs = []
    for epoch in (1, 2):
        batches.begin(epoch)
        drawn = list(batches)
        assert sorted(draw.position for batch in drawn for draw in batch) == list(range(100, 150))
        assert [len(batch) for batch in drawn] == [8] * 6 + [2] and len(drawn) == len(batches)
        counts = [{draw.views for draw in batch} for batch in drawn]
        assert all(len(views) == 1 for views in counts)
        assert len(set.union(*counts)) > 1 and set.union(*counts) <= set(range(1, 6))
        epochs.append(drawn)
    assert epochs[0] != epochs[1]
    scales = list(batches.scales())
    for first in (3, 7):
        batches.begin(2, first)
        assert list(batches) == epochs[1][first:] and len(batches) == 7 - first
        assert list(batches.scales()) == scales[first:]


def test_evaluation_takes_all_objects_in_order_with_their_first_views(dataset):
    index = index_dataset(dataset)
    samples = ShapeNetDataset(index, 128, seed=0, training=False)
    loader = make_loader(samples, EvalBatchSampler(range(15), 4, 2), 0, pin=False)
    drawn = [position for _, _, positions in loader for position in positions]
    assert drawn == list(range(15))
    images, voxels, _ = collate([samples[SampleKey(3, 0, 2)]])
    for view in range(2):
        with Image.open(index.picture_path(3, view)) as picture:
            pixels = np.asarray(picture, np.float64)[4:132, 4:132]
        alpha = pixels[..., 3:] / 255
        expected = alpha * pixels[..., :3] + (1 - alpha) * 240
        assert np.abs(images[0, view].permute(1, 2, 0).numpy() - expected).max() <= 1
    assert images.dtype == voxels.dtype == torch.uint8


def test_training_crops_flips_and_changes_the_background():
    picture = Image.new("RGBA", (137, 137))
    picture.paste((255, 0, 0, 255), (60, 50, 70, 60))
    seen = set()
    for seed in range(200):
        view = np.asarray(train_transform(picture, 128, np.random.default_rng(seed))).astype(int)
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


def test_varied_training_pictures_differ_in_scale_light_and_colour_around_the_same_middle():
    picture = Image.new("RGBA", (137, 137))
    picture.paste((120, 120, 120, 255), (48, 48, 89, 89))
    sides, colors = [], []
    for seed in range(100):
        view = train_transform(picture, 128, np.random.default_rng(seed), varied=True)
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
def test_a_picture_of_any_size_and_mode_is_scaled_whole(tmp_path, size, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, size, 0).save(path)
    picture = load_image(path)
    assert picture.size == (137, 137) and picture.mode == "RGBA"
    if mode == "RGB":
        left, top, right, bottom = picture.getchannel("A").getbbox()
        assert max(right - left, bottom - top) == 137
        assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.2)


def test_more_views_than_an_object_has_is_an_error_that_names_it(dataset):
    samples = ShapeNetDataset(index_dataset(dataset), 128, seed=0, training=False)
    with pytest.raises(InputError, match=r"model03/rendering: expected 6 views .* found 5"):
        samples[SampleKey(3, 0, 6)]


def test_a_truncated_picture_is_refused_by_name(dataset, tmp_path):
    good = Path(index_dataset(dataset).picture_path(0, 0)).read_bytes()
    path = tmp_path / "00.png"
    for length in (0, 4, 30, len(good) // 2, len(good) - 20):
        path.write_bytes(good[:length])
        with pytest.raises(InputError, match=r"00\.png"):
            load_image(path)


def test_voxels_of_another_size_are_refused(tmp_path):
    from data.binvox import write_binvox

    root = make_dataset(tmp_path, {"03001627": 1}, views=1)
    write_binvox(root / "ShapeNetVox32/03001627/model00/model.binvox", np.ones((16, 16, 16)))
    with pytest.raises(InputError, match=r"model\.binvox: expected 32 .* found 16"):
        ShapeNetDataset(index_dataset(root), 128, seed=0, training=False)[SampleKey(0, 0, 1)]


@pytest.mark.parametrize("tree", ["ShapeNetRendering", "ShapeNetVox32"])
def test_a_missing_tree_and_an_empty_category_are_errors(tmp_path, tree):
    root = make_dataset(tmp_path / "data", {"03001627": 1, "04379243": 1}, views=1)
    shutil.rmtree(root / tree / "04379243" / "model00")
    with pytest.raises(InputError, match="04379243"):
        index_dataset(root)
    shutil.rmtree(root / tree)
    with pytest.raises(InputError, match=tree):
        index_dataset(root)


def test_the_parts_of_the_official_objects_hold_all_five(real, capsys):
    index, parts = open_dataset(str(real), "", 0.05)
    assert len(parts["all"]) == 5 and set(index.views) == {24}
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == parts["all"]
    assert "5 objects" in capsys.readouterr().out

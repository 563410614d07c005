import json
from pathlib import Path

import numpy as np
import pytest

from data.datasets import open_dataset
from data.shapenet import SampleKey, ShapeNetDataset, ShapeNetIndex, index_dataset
from data.splits import split_from_file, split_sorted
from tests.helpers import make_dataset
from utils.errors import InputError

SPLIT = Path("split.json")


def index_of(*names: str) -> ShapeNetIndex:
    return ShapeNetIndex("", sorted(names), [{0: "00.png"}] * len(names))


def test_sorted_split_is_80_20_with_validation_at_the_end_of_training(dataset):
    index = index_dataset(dataset)
    assert split_sorted(index, val_fraction=0.25) == {
        "train": [0, 1, 2, 3, 4, 5, 10, 11, 12],
        "val": [6, 7, 13],
        "test": [8, 9, 14],
    }
    assert split_sorted(index, val_fraction=0)["val"] == []
    assert split_sorted(index, val_fraction=0.01)["val"] == [7, 13]


def test_excluded_shapes_leave_every_split_and_move_no_other(tmp_path):
    root = make_dataset(tmp_path, {"03001627": 10}, views=1)
    _, before = open_dataset(root, "", 0.25)
    (root / "exclude.txt").write_text("# damaged\n03001627/model00\n", encoding="utf-8")
    _, after = open_dataset(root, "", 0.25)
    assert after == before | {"train": before["train"][1:], "all": before["all"][1:]}


@pytest.mark.parametrize("num_variants", [1, 2, 3])
@pytest.mark.parametrize("category", ["chair", "a+b"])
def test_variants_stay_with_their_original(num_variants, category):
    originals = [f"{category}/model{i:02d}" for i in range(12)]
    originals.append(f"{category}/model05 (2)")  # sorts between model05 and model05+1
    ends = ("", "+1", "+2", "+3")[: num_variants + 1]
    index = index_of(*(name + end for name in originals for end in ends))
    splits = split_sorted(index, 0.3)
    assert sorted(i for split in splits.values() for i in split) == list(range(len(index.names)))
    seen = [{index.names[i].removesuffix(end) for i in split for end in ends[1:]} & {*originals}
            for split in splits.values()]  # fmt: skip
    assert all(seen) and sum(map(len, seen)) == len(set.union(*seen)) == 13


def test_split_file_replaces_the_sorted_split(dataset):
    entry = {"taxonomy_id": "03001627", "taxonomy_name": "chair"}
    entry |= {"train": ["model03", "model01"], "val": ["model09"], "test": ["gone"]}
    table = {"taxonomy_id": "04379243", "train": [], "test": ["model00"]}  # "val" may be missing
    SPLIT.write_text(json.dumps([entry, table]), encoding="utf-8")
    found, splits = open_dataset(dataset, str(SPLIT), 0.05)
    assert splits == {"train": [1, 3], "val": [9], "test": [10], "all": [*range(15)]}
    assert found.left_out["in split_file, not on disk"] == ["03001627/gone"]
    assert len(found.left_out["on disk, not in split_file"]) == 11


def test_mesh_rcnn_split_uses_the_listed_views(dataset):
    chairs = {"model03": [4, 0], "model01": [4, 3, 2, 1, 0]}
    content = {"train": {"03001627": chairs, "04379243": {"model00": [0, 3]}}}
    content["test"] = {"03001627": {"model03": [2, 1], "gone": [0]}}
    SPLIT.write_text(json.dumps(content), encoding="utf-8")
    index, splits = split_from_file(index_dataset(dataset), SPLIT)
    assert splits == {"train": [15, 16, 17], "val": [], "test": [18]}
    assert index.left_out["in split_file, not on disk"] == ["03001627/gone"]
    assert index.names[15] == index.names[18]  # its views are divided between two splits

    samples = ShapeNetDataset(index, 128)
    every = ShapeNetDataset(index_dataset(dataset), 128)[3][0]
    assert np.array_equal(samples[15][0], every[[4, 0]])
    assert np.array_equal(samples[SampleKey(18, 0, 1)][0], every[[2]])
    rng = ShapeNetDataset(index, 128, augmentation="paper")
    seen = {rng[SampleKey(15, epoch, 1)][0].tobytes() for epoch in range(4)}
    assert len(seen) == 4
    with pytest.raises(InputError, match=r"expected 3 views .* got 2: 04\.png, 00\.png"):
        index.require_views(splits["train"], 3)

    index, splits = open_dataset(dataset, SPLIT, 0)  # each shape once, with all views
    assert splits["all"] == list(range(15))
    assert all(len(index.views[i]) == 5 for i in splits["all"])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        "3",
        '[{"taxonomy_id": "a", "train": 1}]',
        '{"taxonomy_id": "03001627", "train": ["model00"]}',
        '[{"taxonomy_id": "03001627", "train": ["model00"], "test": ["model00"]}]',
        '{"train": {"a": ["x"]}}',
        '{"train": {"03001627": {"model00": [0, 0]}}}',
        '{"train": {"03001627": {"model00": [0, 1]}}, "test": {"03001627": {"model00": [1]}}}',
        '{"train": {"03001627": {"model00": [5]}}}',
    ],
)
def test_bad_split_file_is_an_error(dataset, content):
    SPLIT.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"split\.json"):
        split_from_file(index_dataset(dataset), SPLIT)


def test_list_of_categories_as_split_file_is_explained(dataset):
    SPLIT.write_text('[{"taxonomy_id": "03001627", "taxonomy_name": "chair"}]')  # Pix2Vox's first
    with pytest.raises(InputError, match=r"split\.json: .*list of categories.*split_file empty"):
        split_from_file(index_dataset(dataset), SPLIT)

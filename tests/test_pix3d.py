"""The conversion of Pix3D, with made-up files in its form."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.io import savemat

from data.builder import pix3d
from data.cameras import project, read_views
from data.check import check
from data.datasets import open_dataset
from data.shapenet import ShapeNetDataset
from utils.errors import InputError
from utils.voxels import read_binvox

SIDE = 32


def chair() -> np.ndarray:
    """Return an L in Pix3D's axes: a seat, a back behind it, and a lamp at the viewer's left."""
    voxels = np.zeros((SIDE, SIDE, SIDE), bool)
    voxels[4:20, 6:26, 8:10] = True  # seat
    voxels[4:20, 6:9, 8:28] = True  # back: far from the viewer
    voxels[20:24, 6:10, 20:28] = True  # at the viewer's left
    return voxels


@pytest.fixture
def root(tmp_path):
    """Ten images of five models, seen from the front left; two of them are truncated."""
    root, entries = tmp_path / "pix3d", []
    for i in range(10):
        model = f"model/chair/M{i // 2}"
        paths = {"img": f"img/chair/{i:04d}.png", "mask": f"mask/chair/{i:04d}.png"}
        image, mask = Image.new("RGB", (200, 150), (10 * i, 90, 60)), Image.new("L", (200, 150))
        for picture, color in ((image, (200, 30, 30 + i)), (mask, 255)):
            ImageDraw.Draw(picture).rectangle((40, 30, 120, 130), fill=color)
        for path, picture in zip(paths.values(), (image, mask), strict=True):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            picture.save(root / path)
        (root / model).mkdir(parents=True, exist_ok=True)
        savemat(root / model / "voxel.mat", {"voxel": chair()}, do_compression=True)
        entry = {"category": "chair", "voxel": f"{model}/voxel.mat", "model": f"{model}/model.obj"}
        entry |= {"cam_position": [1, 0.5, -1], "truncated": [i == 2, str(i == 3).lower()][i % 2]}
        entries.append(paths | entry)
    (root / "pix3d.json").write_text(json.dumps(entries))
    return root


def command(monkeypatch, *arguments) -> int:
    monkeypatch.setattr("sys.argv", ["pix3d", *map(str, arguments), "--processes=1"])
    return pix3d.main()


def test_pix3d_becomes_a_dataset_without_shared_models(root, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert command(monkeypatch, root, "--out", out) == 0
    index, splits = open_dataset(out, str(out / "split.json"), 0.05)
    assert [len(splits[split]) for split in ("train", "val", "test")] == [6, 0, 2]
    assert [index.names[i][-4:] for i in splits["test"]] == ["0008", "0009"]  # one model
    assert index.category(0) == "chair" and check(out, 1)[0] == {}
    view = ShapeNetDataset(index, 128)[0][0][0]
    red = (view == (200, 30, 30)).all(-1)
    assert red.any() and (view[~red] > 150).mean() > 0.9  # only the object is left


def test_every_piece_of_a_mask_is_kept(root, tmp_path, monkeypatch, capsys):
    mask = Image.new("L", (200, 150))
    Image.new("L", (200, 150)).save(root / "mask/chair/0001.png")
    for left in (10, 150):
        ImageDraw.Draw(mask).rectangle((left, 30, left + 30, 130), fill=255)
    mask.save(root / "mask/chair/0000.png")
    command(monkeypatch, root, "--out", tmp_path / "out")
    assert "0001: mask/chair/0001.png: empty" in capsys.readouterr().out
    view = tmp_path / "out/ShapeNetRendering/03001627/0000/rendering/00.png"
    alpha = np.asarray(Image.open(view))[68, :, 3]
    assert alpha[:45].max() == alpha[-45:].max() == 255 and alpha[68] == 0


def test_pix3d_axes_become_front_up_and_left(root, tmp_path, monkeypatch):
    out = tmp_path / "out"
    command(monkeypatch, root, "--out", out, "--all", "--resolution=64")
    name = "03001627/0002"
    voxels = read_binvox(out / "ShapeNetVox32" / name / "model.binvox")
    x, y, z = np.nonzero(voxels)
    assert voxels.shape == (64, 64, 64)
    assert [(a.min(), a.max()) for a in (x, y, z)] == [(0, 63), (0, 63), (0, 63)]
    assert x[y > 32].max() < 20  # the back is at the back: the front is +x
    assert voxels[:, y.max() // 2 + 4 :, 58:].any() and not voxels[:, :8, 58:].any()
    (camera,) = read_views(out / "ShapeNetRendering" / name / "rendering/rendering_metadata.txt")
    assert (camera.azimuth, camera.elevation) == pytest.approx((45, 19.47), abs=0.01)
    left, right = project(camera, [[0, 0, 0.3], [0, 0, -0.3]], 137)  # it looks at the front
    assert left[0] < right[0]


def test_grid_is_centered_and_pooled():
    voxels = np.zeros((50, 50, 50), bool)
    voxels[10:40, 20:30, 5] = True
    fitted = pix3d.fit_grid(voxels, 32)
    x, y, z = np.nonzero(fitted)
    assert fitted.shape == (32, 32, 32)
    assert (x.min(), x.max()) == (0, 31)
    assert (y.min(), y.max()) in ((10, 20), (10, 21), (11, 21)) and set(z) <= {14, 15, 16, 17}


@pytest.mark.parametrize("field", ["img", "mask", "voxel"])
def test_pix3d_path_out_of_the_folder_is_refused(root, tmp_path, monkeypatch, field, capsys):
    entry = json.loads((root / "pix3d.json").read_text())[0]
    (root / "pix3d.json").write_text(json.dumps([entry | {field: "../" + entry[field]}]))
    assert command(monkeypatch, root, "--out", tmp_path / "out") == 1
    assert "0000: pix3d.json: expected paths in" in capsys.readouterr().out


def test_damaged_voxels_are_one_line(tmp_path):
    path = tmp_path / "voxel.mat"
    savemat(path, {"voxel": chair()}, do_compression=True)
    content = path.read_bytes()
    for length in (0, 100, 128, 200, len(content) - 5):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"voxel\.mat: expected a MATLAB 5 file"):
            pix3d.read_voxels(path)
    savemat(path, {"voxel": np.zeros((4, 4, 4))})
    with pytest.raises(InputError, match=r"voxel\.mat: voxel: expected"):
        pix3d.read_voxels(path)

"""The scripts with 64³ voxels, and with files of the other resolution."""

import numpy as np
import pytest

from models import R2N2, load_network, save_network
from tests.helpers import SMALL, make_dataset
from utils.voxels import read_binvox, write_binvox


@pytest.fixture
def flags(tmp_path, monkeypatch):
    """Flags of a small network for 64³ voxels, started from weights for 32³, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    root = make_dataset(tmp_path / "data", {"03001627": 4}, views=2)
    for path in root.rglob("*.binvox"):
        write_binvox(path, read_binvox(path).repeat(2, 0).repeat(2, 1).repeat(2, 2))
    save_network("32.pth", R2N2("3D-LSTM-3", width=1 / 16))
    return [*SMALL[1:], f"--database_path={root}", "--num_epochs=1"]


def test_weights_for_32_voxels_train_and_predict_64(script, flags, no_tensorboard):
    flags += ["--resolution=64"]
    status, output, errors = script("train", *flags, "--init_weights=32.pth")
    assert status == 0, errors
    assert "new layers for 64³ voxels: decoder.conv5 decoder.conv64" in output
    checkpoint = "saved_models/3d-r2n2/checkpoint_epoch_00000001.pth"
    assert load_network(checkpoint).resolution == 64
    assert script("test", *flags[:-2])[0] == 0
    demo = ["--resume_epoch=last", "--output=a.npy", "--device=cpu", "--threshold=1"]
    assert script("demo", *demo)[0] == 0
    assert np.load("a.npy").shape == (64, 64, 64)
    before = set(load_network(checkpoint).state_dict())
    status, output, errors = script("train", *flags[:-2], "--num_epochs=2", "--resume_epoch=last")
    assert status == 0, errors
    assert set(load_network(checkpoint.replace("1.pth", "2.pth")).state_dict()) == before


def test_voxels_and_weights_of_another_resolution_are_one_line_errors(script, flags):
    status, _, errors = script("train", *flags, "--width=0.0625")
    assert status == 2 and errors.count("\n") == 1
    assert "model.binvox: expected 32³ voxels (resolution), got 64³" in errors
    save_network("64.pth", R2N2("3D-LSTM-3", width=1 / 16, resolution=64))
    status, _, errors = script("train", *flags, "--resolution=32", "--init_weights=64.pth")
    assert status == 2 and errors.count("\n") == 1
    assert "64.pth: these weights have resolution = 64, not resolution = 32 as asked" in errors
    status, _, errors = script("train", *flags, "--resolution=48")
    assert status == 2 and errors.startswith("error: --resolution: ") and "48" in errors

"""The scripts with 64³ voxels, and with files of the other resolution."""

import numpy as np
import pytest

from models import load_network, save_network
from models.checkpoint import checkpoint_path
from tests.helpers import EXPERIMENT, SMALL, make_dataset, small_network
from utils.voxels import read_binvox, write_binvox


@pytest.fixture
def flags(tmp_path, no_tensorboard):
    """Flags of a small network for 64³ voxels, started from weights for 32³."""
    root = make_dataset(tmp_path / "data", {"03001627": 4}, views=2)
    for path in root.rglob("*.binvox"):
        write_binvox(path, read_binvox(path).repeat(2, 0).repeat(2, 1).repeat(2, 2))
    save_network("32.pth", small_network())
    return [*SMALL[1:], f"--database_path={root}", "--num_epochs=1"]


def test_weights_for_32_voxels_train_and_predict_64(script, output_of, flags):
    output = output_of("train", *flags, "--resolution=64", "--init_weights=32.pth")
    assert "new layers for 64³ voxels: decoder.conv5 decoder.conv64" in output
    first = load_network(checkpoint_path(EXPERIMENT, 1))
    assert first.resolution == 64
    output_of("test", *flags[:-1])
    demo = ["--resume_epoch=last", "--output=a.npy", "--device=cpu", "--threshold=1"]
    assert script("demo", *demo)[0] == 0
    assert np.load("a.npy").shape == (64, 64, 64)
    output_of("train", *flags[:-1], "--num_epochs=2", "--resume_epoch=last")
    second = load_network(checkpoint_path(EXPERIMENT, 2))
    assert second.state_dict().keys() == first.state_dict().keys()


def test_voxels_and_weights_of_another_resolution_are_one_line_errors(error_of, flags):
    save_network("64.pth", small_network(resolution=64))
    for changed, named in (
        (["--width=0.0625"], "model.binvox: expected 32³ voxels (resolution), got 64³"),
        (["--resolution=32", "--init_weights=64.pth"], "64.pth: these weights have resolution"),
        (["--resolution=48"], "error: --resolution: "),
    ):
        assert named in error_of("train", *flags, *changed)

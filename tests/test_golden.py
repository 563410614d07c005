"""Predictions agree with the code of others; tests/golden/README.md says how those were made."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.loader import TrainBatchSampler, make_loader
from data.shapenet import ShapeNetDataset, index_dataset
from models import R2N2, load_network
from tests.helpers import DEMO_IMAGES, PRETRAINED, make_dataset
from utils.config import Config
from utils.distributed import Precision
from utils.engine import Progress, make_optimizer, train_one_epoch

GOLDEN = Path(__file__).parent / "golden"


def random_parameter(i: int, shape: list[int], fan: float, bias: tuple[float, float]):
    """Draw the weight or bias number `i`, float32."""
    if len(shape) == 1:
        return np.random.RandomState(9000 + i).normal(*bias, shape).astype(np.float32)
    return np.random.RandomState(1000 + i).normal(0, np.sqrt(2 / fan), shape).astype(np.float32)


def write_port_files(folder: Path) -> Path:
    """Write the PyTorch port's three files; return the path of one."""
    files = {}
    for i, (file, key, shape) in enumerate(json.loads(read("pytorch_3d-lstm-3.json"))):
        weights = random_parameter(i, shape, np.prod(shape[1:]), (0.05, 0.1))
        files.setdefault(file, {})[key] = torch.from_numpy(weights)
    for file, weights in files.items():
        torch.save(weights, folder / f"{file}_epoch_00000060.pth")
    return folder / "decoder_epoch_00000060.pth"


def write_theano_file(folder: Path, name: str) -> Path:
    shapes = json.loads(read(f"{name}.json"))
    arrays = np.empty(len(shapes), object)
    for i, shape in enumerate(shapes):
        fan_in = np.prod(shape[1:])
        fan_out = np.prod(shape) / shape[2 if len(shape) == 5 else min(1, len(shape) - 1)]
        arrays[i] = random_parameter(i, shape, (fan_in + fan_out) / 2, (0.1, 0.2))
    np.save(folder / f"{name}.npy", arrays, allow_pickle=True)
    return folder / f"{name}.npy"


def read(name: str) -> str:
    return (GOLDEN / name).read_text()


def random_images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(123).rand(*shape).astype(np.float32))


def demo_images() -> torch.Tensor:
    """Return the three views in data/demo on white, cropped to 128 pixels."""
    views = []
    for path in DEMO_IMAGES:
        with Image.open(path) as image:
            pixels = np.asarray(image, np.float64) / 255  # (137, 137, 4)
        alpha = pixels[..., 3:]
        views.append((pixels[..., :3] * alpha + 1 - alpha)[4:132, 4:132].transpose(2, 0, 1))
    return torch.from_numpy(np.stack(views))[None]


def assert_matches_golden(network, images: torch.Tensor, name: str):
    expected = np.load(GOLDEN / f"{name}.npz")["occupied"]
    for dtype, tolerance in ((torch.float32, 5e-6), (torch.float64, 1e-6)):
        with torch.no_grad():
            probs = network.to(dtype)(images.to(dtype)).softmax(1)[:, 1, ::4, ::4, ::4]
        assert np.abs(probs.numpy() - expected).max() <= tolerance


def test_port_weights_match_golden(tmp_path):
    network = load_network(write_port_files(tmp_path))
    assert_matches_golden(network, random_images(2, 3, 3, 128, 128), "pytorch_3d-lstm-3")


@pytest.mark.parametrize("name", ["theano_3d-gru-3", "theano_res3d-gru-3"])
def test_converted_theano_weights_match_golden(output_of, tmp_path, name):
    output_of("models.convert", write_theano_file(tmp_path, name), "out.pth")
    images = random_images(3, 1, 3, 127, 127).transpose(0, 1)
    assert_matches_golden(load_network("out.pth"), images, name)


def test_bundled_weights_match_golden():
    assert_matches_golden(load_network(PRETRAINED), demo_images(), "bundled")


@pytest.mark.parametrize(
    ("name", "losses", "norm"),
    [
        ("3D-LSTM-3", [0.553541, 0.526624, 0.508555], 16066.62),
        ("Res3D-GRU-3", [1.993866, 1.388220, 1.067736], 17403.14),
    ],
)
def test_three_training_steps_match_golden(tmp_path, name, losses, norm):
    """Losses, and the L1 norm of the weights afterwards, differ by 1e-6 between CPUs."""
    network = R2N2(name, width=1 / 16)
    for i, parameter in enumerate(network.parameters()):
        fan_in = np.prod(parameter.shape[1:])
        weights = random_parameter(i, [*parameter.shape], fan_in, (0.1, 0.1))
        parameter.data.copy_(torch.from_numpy(weights))
    index = index_dataset(make_dataset(tmp_path, {"chair": 4}))
    samples = ShapeNetDataset(index, network.image_size, augmentation="paper")
    loader = make_loader(samples, TrainBatchSampler(range(4), 4, 1, 3, seed=0), 0)
    precision = Precision("fp32", torch.device("cpu"))
    config = Config(LR=0.001, num_epochs=3, threshold=0.4)
    optimizer, progress, found = make_optimizer(network, config.LR, 0.01), Progress(), []
    for _ in range(3):  # epochs of one step
        scalars = train_one_epoch(network, loader, optimizer, precision, config, progress)
        found.append(scalars["loss"])
        progress.finish_epoch()
    assert found == pytest.approx(losses, rel=1e-4)
    assert sum(p.abs().sum().item() for p in network.parameters()) == pytest.approx(norm, rel=1e-5)

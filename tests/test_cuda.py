"""A GPU gives what the CPU gives, within the tolerances stated here, in every mode.

python -m pytest -m cuda
"""

import copy
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from data.loader import TrainBatchSampler, eval_batches, make_loader
from data.shapenet import ShapeNetDataset, index_dataset
from models import NETWORKS, VARIANTS
from tests.helpers import EXPERIMENT, SMALL, read_checkpoint, small_network
from utils.config import Config
from utils.distributed import Precision
from utils.engine import Progress, evaluate, make_optimizer, to_device, train_one_epoch
from utils.metrics import occupancy_logits, voxel_loss

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA"),
]
CPU = torch.device("cpu")
FLAGS = [*SMALL[:-1], "--val_fraction=0.3"]  # without --device=cpu
# Of each precision: the largest difference of a probability from float32 on the CPU, and the least
# cosine of the angle between both gradients of all weights.
TOLERANCES = {
    "fp32": (1e-5, 0.99999),
    "tf32": (5e-3, 0.999),
    "fp16": (5e-3, 0.999),
    "bf16": (5e-2, 0.99),
}


make_network = partial(small_network, width=1 / 8)


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda")


def random_batch(network, batch_size=2, num_views=3):
    rng = torch.Generator().manual_seed(0)
    size = (batch_size, num_views, 3, network.image_size, network.image_size)
    images = torch.randint(256, size, dtype=torch.uint8, generator=rng)
    return images, torch.randint(2, (batch_size, 32, 32, 32), dtype=torch.uint8, generator=rng)


def probs_and_gradient(network, precision: Precision, *size: int) -> tuple:
    """Return the probabilities of a random batch, and the gradient of all weights as one vector."""
    images, voxels = to_device(*random_batch(network, *size), precision.device)
    with precision.autocast():
        logits = network(images).float()
    precision.step(voxel_loss(logits, voxels).sum(), torch.optim.SGD(network.parameters(), lr=0))
    gradient = torch.cat([p.grad.flatten() for p in network.parameters()])
    return torch.sigmoid(occupancy_logits(logits)).detach().cpu(), gradient.cpu()


def assert_matches_cpu(network, device: torch.device, precision: str, compiled: bool = False):
    probs_atol, min_cosine = TOLERANCES[precision]
    other = copy.deepcopy(network).to(device)
    if compiled:
        other.compile()
    probs, gradient = probs_and_gradient(network, Precision("fp32", CPU))
    other_probs, other_gradient = probs_and_gradient(other, Precision(precision, device))
    torch.testing.assert_close(other_probs, probs, rtol=0, atol=probs_atol)
    assert torch.cosine_similarity(gradient.double(), other_gradient.double(), dim=0) > min_cosine
    assert 0.9 < other_gradient.norm() / gradient.norm() < 1.1


@pytest.mark.parametrize(
    ("name", "variant", "precision"),
    [
        *product(NETWORKS, VARIANTS, ["fp32"]),
        *product(["3D-LSTM-3"], ["pytorch"], ["tf32", "fp16", "bf16"]),
    ],
)
def test_networks_match_the_cpu(device, name, variant, precision):
    assert_matches_cpu(make_network(name, **VARIANTS[variant]), device, precision)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch, about its own parts
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_network_matches_the_cpu(device, precision):
    assert_matches_cpu(make_network(), device, precision, compiled=True)


def make_training(dataset, device, network=None):
    """Return a network, its optimizer and a loader of one training."""
    network = (network or make_network()).to(device)
    samples = ShapeNetDataset(index_dataset(dataset), 128, augmentation="paper")
    sampler = TrainBatchSampler(list(range(15)), 4, 1, 3, seed=0)
    loader = make_loader(samples, sampler, 1, pin_memory=device.type == "cuda")
    return network, make_optimizer(network, 1e-3, 0), loader


@pytest.mark.parametrize("name", TOLERANCES)
def test_training_matches_the_cpu(dataset, device, name):
    means = []
    for precision in (Precision("fp32", CPU), Precision(name, device)):
        network, optimizer, loader = make_training(dataset, precision.device)
        progress, config = Progress().shard(0, precision.device), Config(LR=1e-3, threshold=0.4)
        means.append(train_one_epoch(network, loader, optimizer, precision, config, progress))
    assert means[1]["loss"] == pytest.approx(means[0]["loss"], rel=0.01)


def test_evaluation_matches_the_cpu(dataset, device):
    samples = ShapeNetDataset(index_dataset(dataset), 128)
    results = []
    for precision in (Precision("fp32", CPU), Precision("fp32", device)):
        loader = make_loader(samples, eval_batches(list(range(15)), 4, 3))
        network = make_network().to(precision.device)
        results.append(evaluate(network, loader, precision, [0.4, 0.5]))
    for key, expected in results[0].items():
        np.testing.assert_allclose(results[1][key], expected, atol=1e-3, err_msg=key)


def test_ddp_trains_like_one_process(dataset, device, tmp_path):
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    network, optimizer, loader = make_training(dataset, device)
    other, other_optimizer, _ = make_training(dataset, device, copy.deepcopy(network))
    options = Precision("fp32", device), Config(LR=1e-3, threshold=0.4)
    progress = Progress().shard(0, device)
    scalars = train_one_epoch(network, loader, optimizer, *options, progress)
    dist.init_process_group(backend, f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        wrapped, progress = DistributedDataParallel(other), Progress().shard(0, device)
        wrapped_scalars = train_one_epoch(wrapped, loader, other_optimizer, *options, progress)
    finally:
        dist.destroy_process_group()
    assert wrapped_scalars["loss"] == pytest.approx(scalars["loss"], rel=1e-4)
    for parameter, expected in zip(other.parameters(), network.parameters(), strict=True):
        assert (parameter - expected).abs().mean() < 1e-4


def test_training_resumes_on_the_other_device(output_of, small, device):
    runs = {"cpu": 3 * ["cpu"], "mixed": [device.type, "cpu", device.type]}
    checkpoints = []
    for name, devices in runs.items():
        flags = [*FLAGS, small[-1], f"--experiment_name={name}", "--precision=fp32"]
        for epoch, kind in enumerate(devices, start=1):
            resume = ["--resume_epoch=last"] if epoch > 1 else []
            output_of("train", *flags, *resume, f"--num_epochs={epoch}", f"--device={kind}")
        checkpoints.append(read_checkpoint(3, EXPERIMENT.with_name(name)))
    expected, mixed = checkpoints
    assert all(value.device.type == "cpu" for value in mixed["weights"].values())
    for key, value in expected["weights"].items():
        assert (mixed["weights"][key] - value).abs().mean() < 1e-4, key


def test_out_of_memory_is_a_one_line_error_that_names_batch_size(error_of, small):
    torch.cuda.empty_cache()
    limit = 2**28 + torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.mem_get_info()[1])
    try:
        flags = ["--device=cuda", "--width=1", "--batch_size=12", "--num_epochs=1"]
        error = error_of("train", *FLAGS, small[-1], *flags)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "not enough memory: CUDA out of memory" in error and "--batch_size" in error

"""The networks compute what the paper's equations and the textbook network do."""

from functools import partial

import pytest
import torch

from models import NETWORKS, R2N2, VARIANTS
from models.network import with_resolution
from models.profile import count_macs
from tests import reference
from tests.helpers import small_network

THEANO = VARIANTS["theano"]


def random_images(batch_size, num_views, size=128):
    rng = torch.Generator().manual_seed(0)
    return torch.rand(batch_size, num_views, 3, size, size, generator=rng)


@pytest.mark.parametrize(
    ("name", "variant", "parameters"),
    [
        ("3D-LSTM-1", "pytorch", 29_643_170),
        ("3D-GRU-1", "pytorch", 29_618_594),
        ("3D-LSTM-3", "pytorch", 30_921_122),
        ("3D-GRU-3", "pytorch", 30_896_546),
        ("Res3D-GRU-3", "pytorch", 34_657_986),
        ("3D-GRU-3", "theano", 32_207_266),
        ("Res3D-GRU-3", "theano", 35_968_706),
    ],
)
def test_parameter_count_matches_the_original_code(name, variant, parameters):
    with torch.device("meta"):
        network = R2N2(name, **VARIANTS[variant])
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_predictions_and_gradients_match_reference(name, variant):
    check_against_reference(name, **VARIANTS[variant])


@pytest.mark.parametrize("name", ["3D-LSTM-3", "Res3D-GRU-3"])
@pytest.mark.parametrize("unpooling", ["nearest", "zero"])
def test_predictions_of_64_voxels_match_reference(name, unpooling):
    check_against_reference(name, unpooling=unpooling, resolution=64)


def check_against_reference(name, **options):
    network = small_network(name, width=1 / 32, **options).double()
    batch = (2, 2) if network.resolution == 32 else (1, 2)
    images = random_images(*batch, network.image_size).double()
    results = []
    for forward in (network, partial(reference.forward, network)):
        network.zero_grad()
        logits = forward(images)
        logits.square().mean().backward()
        results.append([logits.detach(), {key: p.grad for key, p in network.named_parameters()}])
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-9)
    for key, gradient in results[0][1].items():
        assert gradient.any(), key
    with torch.no_grad():  # another path: images are encoded in chunks
        probs = network.float()(images.float()).softmax(1)
    torch.testing.assert_close(probs.double(), results[1][0].softmax(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_view_gives_every_parameter_a_gradient(name):  # DistributedDataParallel needs it
    network = small_network(name)
    network(random_images(1, 1)).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("name", ["3D-LSTM-3", "Res3D-GRU-3"])
def test_forward_all_views_matches_forward(name):
    network, images = small_network(name), random_images(2, 3)
    with torch.no_grad():
        for num_views, logits in enumerate(network.forward_all_views(images), start=1):
            expected = network(images[:, :num_views])
            torch.testing.assert_close(logits, expected, atol=5e-5, rtol=1e-5)
    assert num_views == 3


@pytest.mark.parametrize("name", ["3D-GRU-3", "3D-LSTM-3"])
def test_grad_checkpointing_keeps_gradients(name):
    network, images, gradients = small_network(name), random_images(3, 4), []
    for network.grad_checkpointing in (False, True):
        network.zero_grad()
        network(images).square().mean().backward()
        gradients.append([p.grad for p in network.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_xavier_init_counts_each_gate_as_a_layer():
    torch.manual_seed(0)
    network = R2N2("3D-GRU-3", width=0.5)
    gate_features = network.recurrence.input.out_features // 3
    fans = {  # mean of fan-in and fan-out
        "encoder.conv3": (9 * 64 + 9 * 128) / 2,
        "encoder.fc": (512 + 512) / 2,
        "recurrence.input": (512 + gate_features) / 2,
        "recurrence.hidden": 27 * 64,
        "decoder.conv3": 27 * (64 + 32) / 2,
    }
    for name, fan in fans.items():
        layer = network.get_submodule(name)
        assert layer.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.05)
        assert layer.bias is None or (layer.bias == 0.1).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("3D-LSTM-2", {}),
        ("3D-LSTM-3", {"width": -1}),
        ("3D-LSTM-3", {"image_size": 63}),
        ("3D-LSTM-3", {"pool_padding": 2}),
        ("3D-LSTM-3", {"unpooling": "max"}),
        ("3D-LSTM-3", {"leaky_slope": -0.1}),
        ("3D-LSTM-3", {"resolution": 48}),
    ],
)
def test_invalid_options_raise_value_error(name, options):
    with pytest.raises(ValueError, match=next(iter(options), "network")):
        R2N2(name, **options)


@pytest.mark.parametrize(
    "shape",
    [(0, 2, 3, 128, 128), (2, 2, 3, 127, 127), (2, 3, 128, 128)],
)
def test_invalid_image_shapes_raise_value_error(shape):
    network, images = small_network(), torch.zeros(shape)
    for forward in (network, lambda x: next(network.forward_all_views(x))):
        with pytest.raises(ValueError, match="images: expected the shape"):
            forward(images)


def test_profile_counts_multiplications():
    with torch.device("meta"):
        network = R2N2("3D-LSTM-3")
    macs = [count_macs(network, num_views) for num_views in (1, 2, 3)]
    assert macs[2] == pytest.approx(8.49e9, rel=0.01)  # the PyTorch port needs 15.0e9
    assert macs[2] - macs[1] == pytest.approx(macs[1] - macs[0], rel=0.001)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_for_32_voxels_start_a_network_for_64(name):
    network = small_network(name)
    larger, new = with_resolution(network, 64)
    last = "conv11" if name == "Res3D-GRU-3" else "conv5"
    assert {layer.removeprefix("decoder.")[:6] for layer in new} == {"conv64", last}
    weights = network.state_dict()
    for key, value in larger.state_dict().items():
        assert key.rpartition(".")[0] in new or torch.equal(value, weights[key])
    with torch.no_grad():
        logits = larger(random_images(1, 1))
    assert logits.shape == (1, 2, 64, 64, 64) and logits.std() < 0.1

"""Layers with a faster form compute the textbook's function, whatever changes their weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.layers import UNPOOLINGS, ConvPool2d, FewRowLinear, UnpoolConv3d, unpool


def textbook_unpool(x, unpooling):
    if unpooling == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    output = torch.zeros(*x.shape[:2], *(2 * side for side in x.shape[2:]), dtype=x.dtype)
    output[:, :, ::2, ::2, ::2] = x
    return output


def textbook(layer, x):
    x = textbook_unpool(x, layer.unpooling)
    return F.conv3d(x, layer.weight, layer.bias, padding=1)


def assert_same_function(layer, function, x):
    """Compare outputs and all gradients of a float64 layer with those of `function(x)`."""
    x = x.requires_grad_()
    outputs = layer(x), function(x)
    torch.testing.assert_close(*outputs)
    inputs = (x, *layer.parameters())
    gradients = (torch.autograd.grad(y.square().sum(), inputs) for y in outputs)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("unpooling", UNPOOLINGS)
@pytest.mark.parametrize("side", [1, 2, 5])
def test_unpool_conv_matches_textbook(unpooling, side):
    layer = UnpoolConv3d(3, 4, unpooling).double()
    x = torch.randn(2, 3, side, side, side, dtype=torch.float64)
    assert torch.equal(unpool(x, unpooling), textbook_unpool(x, unpooling))
    assert_same_function(layer, lambda x: textbook(layer, x), x)


@pytest.mark.parametrize("padding", [0, 1])
def test_conv_pool_matches_textbook(padding):
    layer = ConvPool2d(3, 4, 7, padding).double()

    def function(x):
        y = F.leaky_relu(F.conv2d(x, layer.weight, layer.bias, padding=3), 0.1)
        return F.max_pool2d(y, 2, padding=padding)

    x = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    assert_same_function(nn.Sequential(layer, nn.LeakyReLU(0.1)), function, x)


@pytest.mark.parametrize("rows", [1, 5, 6])
@pytest.mark.parametrize("bias", [False, True])
def test_few_row_linear_matches_textbook(rows, bias):
    layer = FewRowLinear(6, 5, bias=bias).double()
    x = torch.randn(rows, 6, dtype=torch.float64)
    assert_same_function(layer, lambda x: F.linear(x, layer.weight, layer.bias), x)


# Each of these went wrong when the composed kernel of UnpoolConv3d was kept.


def step_fused(layer):
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def load_state(layer):
    layer.load_state_dict({key: torch.randn_like(p) for key, p in layer.state_dict().items()})


@pytest.mark.parametrize("unpooling", UNPOOLINGS)
@pytest.mark.parametrize("change", [step_fused, load_state])
def test_unpool_conv_uses_changed_weights(unpooling, change):
    layer, x = UnpoolConv3d(2, 2, unpooling).eval(), torch.randn(1, 2, 3, 3, 3)
    with torch.inference_mode():
        before = layer(x)
    change(layer)
    layer.train()(x).sum().backward()
    assert layer.weight.grad.any()
    with torch.no_grad():
        torch.testing.assert_close(layer.eval()(x), textbook(layer, x))
        assert not torch.allclose(layer(x), before)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        torch.testing.assert_close(layer(x), textbook(layer, x))

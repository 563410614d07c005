"""Layers with a faster form compute the textbook's function, whatever changes their weights."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, parametrize, vector_to_parameters

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


@pytest.mark.parametrize("rows", [1, 8, 9])
@pytest.mark.parametrize("bias", [False, True])
def test_few_row_linear_matches_textbook(rows, bias):
    layer = FewRowLinear(6, 5, bias=bias).double()
    x = torch.randn(rows, 6, dtype=torch.float64)
    assert_same_function(layer, lambda x: F.linear(x, layer.weight, layer.bias), x)


# No stored kernel: each of these went wrong when the composed kernel of UnpoolConv3d was kept.


def replace_parameter(layer):
    layer.weight = nn.Parameter(torch.randn_like(layer.weight))


def scale_data(layer):
    layer.weight.data.mul_(2)


def write_vector(layer):
    vector_to_parameters(2 * parameters_to_vector(layer.parameters()).detach(), layer.parameters())


def step_fused(layer):
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


class Double(nn.Module):
    def forward(self, weight):
        return 2 * weight


def parametrize_weight(layer):
    parametrize.register_parametrization(layer, "weight", Double())


def load_state(layer):
    layer.load_state_dict({key: torch.randn_like(p) for key, p in layer.state_dict().items()})


CHANGES = [
    replace_parameter,
    scale_data,
    write_vector,
    step_fused,
    parametrize_weight,
    load_state,
]


@pytest.fixture(params=UNPOOLINGS)
def used_layer(request):
    """A layer in evaluation mode after a forward pass, and its input."""
    layer, x = UnpoolConv3d(2, 2, request.param).eval(), torch.randn(1, 2, 3, 3, 3)
    with torch.no_grad():
        layer(x)
    return layer, x


@torch.no_grad()
def expected(layer, x):
    return textbook(layer, x)


@pytest.mark.parametrize("change", CHANGES)
def test_unpool_conv_uses_changed_weights(used_layer, change):
    layer, x = used_layer
    with torch.no_grad():
        before = layer(x)
    change(layer)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected(layer, x))
        assert not torch.allclose(layer(x), before)


def test_unpool_conv_supports_functional_call(used_layer):
    layer, x = used_layer
    other = copy.deepcopy(layer)
    load_state(other)
    with torch.no_grad():
        output = torch.func.functional_call(layer, dict(other.named_parameters()), x)
    torch.testing.assert_close(output, expected(other, x))


def test_unpool_conv_trains_after_inference_mode(used_layer):
    layer, x = used_layer
    with torch.inference_mode():
        layer(x)
    layer.train()(x).sum().backward()
    assert layer.weight.grad.any()
    with torch.no_grad():
        torch.testing.assert_close(layer.eval()(x), expected(layer, x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unpool_conv_exports_after_forward(used_layer):
    layer, x = used_layer
    torch.testing.assert_close(torch.jit.trace(layer, x)(x).detach(), expected(layer, x))
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x).detach(), expected(layer, x))


def test_unpool_conv_runs_in_float32_after_autocast(used_layer):
    layer, x = used_layer
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        torch.testing.assert_close(layer(x), expected(layer, x))


def test_few_row_linear_uses_parametrized_weights_and_calls_hooks():
    layer, x, calls = FewRowLinear(4, 3), torch.randn(2, 4), []
    parametrize_weight(layer)
    layer.register_forward_hook(lambda *arguments: calls.append(arguments))
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
    assert len(calls) == 1

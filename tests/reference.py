"""The networks as a textbook has them, which the tests and the benchmark compare ours with.

They use the parameters of an `R2N2`, but none of its code: views are encoded one after another,
the states start as grids of zeros, and unpooling, convolution, LeakyReLU and pooling are separate
operations in the paper's order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models import R2N2


def forward(network: R2N2, images: Tensor) -> Tensor:
    """Compute `network(images)`."""
    residual, lstm = network.name.startswith("Res"), "LSTM" in network.name
    encode, decode = (
        (residual_encoder, residual_decoder) if residual else (shallow_encoder, shallow_decoder)
    )
    step = lstm_step if lstm else gru_step
    h = s = images.new_zeros(len(images), network.recurrence.hidden.in_channels, 4, 4, 4)
    for image in images.unbind(1):
        h, s = step(network.recurrence, encode(network, image), h, s)
    return decode(network, h)


def conv2d(layer, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def conv3d(layer, x: Tensor) -> Tensor:
    return F.conv3d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def leaky_relu(network: R2N2, x: Tensor) -> Tensor:
    return F.leaky_relu(x, network.options["leaky_slope"])


def pool(network: R2N2, x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, padding=network.options["pool_padding"])


def unpool(network: R2N2, x: Tensor) -> Tensor:
    side = 2 * x.shape[-1]
    if network.options["unpooling"] == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    output = torch.zeros(*x.shape[:2], side, side, side, dtype=x.dtype)
    output[:, :, ::2, ::2, ::2] = x
    return output


def shallow_encoder(network: R2N2, x: Tensor) -> Tensor:
    e = network.encoder
    for layer in (e.conv1, e.conv2, e.conv3, e.conv4, e.conv5, e.conv6):
        x = pool(network, leaky_relu(network, conv2d(layer, x)))
    return leaky_relu(network, F.linear(x.flatten(1), e.fc.weight, e.fc.bias))


def residual_encoder(network: R2N2, x: Tensor) -> Tensor:
    for block in network.encoder.blocks:
        y = leaky_relu(network, conv2d(block.a, x))
        y = leaky_relu(network, conv2d(block.b, y))
        if block.skip == "conv":
            y = y + conv2d(block.c, x)
        elif block.skip == "identity":
            y = y + x
        x = pool(network, y)
    fc = network.encoder.fc
    return leaky_relu(network, F.linear(x.flatten(1), fc.weight, fc.bias))


def lstm_step(recurrence, features: Tensor, h: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 3 to 6 of the paper."""
    inputs = F.linear(features, recurrence.input.weight, recurrence.input.bias)
    gates = inputs.view(len(features), -1, 4, 4, 4) + conv3d(recurrence.hidden, h)
    i, f, g = gates.chunk(3, dim=1)
    s = torch.sigmoid(f) * s + torch.sigmoid(i) * torch.tanh(g)
    return torch.tanh(s), s


def gru_step(recurrence, features: Tensor, h: Tensor, _) -> tuple[Tensor, Tensor]:
    """Equations 7 to 9 of the paper."""
    inputs = F.linear(features, recurrence.input.weight).view(len(features), -1, 4, 4, 4)
    x_u, x_r, x_c = inputs.chunk(3, dim=1)
    h_u, h_r = conv3d(recurrence.hidden, h).chunk(2, dim=1)
    u, r = torch.sigmoid(x_u + h_u), torch.sigmoid(x_r + h_r)
    h = u * h + (1 - u) * torch.tanh(x_c + conv3d(recurrence.candidate, r * h))
    return h, h


def shallow_decoder(network: R2N2, x: Tensor) -> Tensor:
    d = network.decoder
    for layer in (d.conv1, d.conv2, d.conv3):
        x = leaky_relu(network, conv3d(layer, unpool(network, x)))
    x = leaky_relu(network, conv3d(d.conv4, x))
    if network.resolution == 64:
        x = leaky_relu(network, conv3d(d.conv64, unpool(network, x)))
    return conv3d(d.conv5, x)


def residual_decoder(network: R2N2, x: Tensor) -> Tensor:
    def act(layer, x: Tensor) -> Tensor:
        return leaky_relu(network, conv3d(layer, x))

    d = network.decoder
    x = unpool(network, x)
    x = act(d.conv7b, act(d.conv7a, x)) + x
    x = unpool(network, x)
    x = act(d.conv8b, act(d.conv8a, x)) + x
    x = unpool(network, x)
    x = act(d.conv9b, act(d.conv9a, x)) + conv3d(d.conv9c, x)
    x = act(d.conv10a, x)
    x = act(d.conv10b, x) + conv3d(d.conv10c, x)
    if network.resolution == 64:
        x = unpool(network, x)
        x = act(d.conv64b, act(d.conv64a, x)) + conv3d(d.conv64c, x)
    return conv3d(d.conv11, x)

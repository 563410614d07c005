"""The networks written plainly, as one would from the paper: what the fast ones are held against.

Views go through the encoder one by one, the state starts as zeros, unpooling and convolution are
two operations, and nothing is kept in another memory format. `python -m tests.benchmark` times
both, and the tests compare predictions and gradients.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.encoder import ResidualEncoder, ShallowEncoder
from models.layers import unpool
from models.network import R2N2
from models.recurrence import GRID, LSTM


def forward(network: R2N2, images: Tensor) -> Tensor:
    """`network(images)`, computed plainly with the same parameters."""
    encode = shallow_encoder if isinstance(network.encoder, ShallowEncoder) else residual_encoder
    advance = lstm if isinstance(network.recurrence, LSTM) else gru
    residual = isinstance(network.encoder, ResidualEncoder)
    decode = residual_decoder if residual else shallow_decoder
    channels = network.recurrence.hidden.in_channels
    zeros = images.new_zeros(len(images), channels, GRID, GRID, GRID)
    state = (zeros, zeros)
    for view in range(images.shape[1]):
        state = advance(network.recurrence, encode(network.encoder, images[:, view]), *state)
    return decode(network.decoder, state[0], network.decoder.unpooling)


def conv2d(layer, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def conv3d(layer, x: Tensor) -> Tensor:
    return F.conv3d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def shallow_encoder(encoder, x: Tensor) -> Tensor:
    for number in range(1, 7):
        layer = encoder.get_submodule(f"conv{number}")
        x = F.leaky_relu(conv2d(layer, x), encoder.slope)
        x = F.max_pool2d(x, 2, padding=layer.pool_padding)
    return F.leaky_relu(encoder.fc(x.flatten(1)), encoder.slope)


def residual_encoder(encoder, x: Tensor) -> Tensor:
    for block in encoder.blocks:
        branch = F.leaky_relu(conv2d(block.a, x), encoder.slope)
        branch = F.leaky_relu(conv2d(block.b, branch), encoder.slope)
        if block.skip == "conv":
            branch = branch + conv2d(block.c, x)
        elif block.skip == "identity":
            branch = branch + x
        x = F.max_pool2d(branch, 2, padding=block.pool_padding)
    return F.leaky_relu(encoder.fc(x.flatten(1)), encoder.slope)


def lstm(recurrence, features: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 3 to 6 of the paper."""
    inputs = recurrence.input(features).view(len(features), -1, GRID, GRID, GRID)
    i, f, g = (inputs + recurrence.hidden(hidden)).chunk(3, dim=1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.tanh(cell), cell


def gru(recurrence, features: Tensor, hidden: Tensor, _) -> tuple[Tensor, Tensor]:
    """Equations 7 to 9 of the paper."""
    inputs = recurrence.input(features).view(len(features), -1, GRID, GRID, GRID)
    u, r, c = inputs.chunk(3, dim=1)
    update, reset = torch.sigmoid(torch.cat([u, r], 1) + recurrence.hidden(hidden)).chunk(2, 1)
    candidate = torch.tanh(c + recurrence.candidate(reset * hidden))
    hidden = update * hidden + (1 - update) * candidate
    return hidden, hidden


def shallow_decoder(decoder, x: Tensor, unpooling: str) -> Tensor:
    for layer in (decoder.conv1, decoder.conv2, decoder.conv3):
        x = F.leaky_relu(conv3d(layer, unpool(x, unpooling)), decoder.slope)
    return decoder.conv5(F.leaky_relu(decoder.conv4(x), decoder.slope))


def residual_decoder(decoder, x: Tensor, unpooling: str) -> Tensor:
    def active(layer, x: Tensor) -> Tensor:
        return F.leaky_relu(conv3d(layer, x), decoder.slope)

    for a, b in ((decoder.conv7a, decoder.conv7b), (decoder.conv8a, decoder.conv8b)):
        x = unpool(x, unpooling)
        x = active(b, active(a, x)) + x
    x = unpool(x, unpooling)
    x = active(decoder.conv9b, active(decoder.conv9a, x)) + decoder.conv9c(x)
    a = active(decoder.conv10a, x)
    return decoder.conv11(active(decoder.conv10b, a) + decoder.conv10c(a))

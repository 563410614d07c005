"""The pieces that encoder, recurrence and decoder share."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UNPOOLINGS = ("nearest", "zero")

# Nearest unpooling by 2 shows each kernel tap a pixel that its neighbour may see as well. Along one
# axis, output 2i+1-p of a transposed convolution of stride 2 and padding 1 gathers these sums of
# the three taps (rows: the four taps of the transposed kernel).
NEAREST = ((0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0))
# After zero insertion the same convolution is the transposed one with the taps in reverse.
ZERO = ((0, 0, 1), (0, 1, 0), (1, 0, 0))


class UnpoolConv3d(nn.Module):
    """Unpooling by 2 and a 3×3×3 convolution, as one transposed convolution of stride 2.

    The same function with an eighth to a third of the products; the parameters are those of the
    3×3×3 convolution. `unpooling` is "nearest", or "zero" (the value at the even corner of each
    2×2×2 cell, zeros elsewhere).
    """

    def __init__(self, in_channels: int, out_channels: int, unpooling: str):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3, 3))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.taps = NEAREST if unpooling == "nearest" else ZERO
        self.output_padding = int(unpooling == "zero")
        self._kept = None

    def forward(self, x: Tensor, coarse: bool = False) -> Tensor:
        """(B, C, D, D, D) -> (B, C', 2D, 2D, 2D); without the unpooling if `coarse`."""
        if coarse:
            return F.conv3d(x, self.weight, self.bias, padding=1)
        return F.conv_transpose3d(
            x, self.kernel(), self.bias, stride=2, padding=1, output_padding=self.output_padding
        )

    def kernel(self) -> Tensor:
        """The transposed convolution's kernel, kept between calls where no gradient flows."""
        if torch.is_grad_enabled():
            self._kept = None
            return self._compose()
        version = (self.weight._version, self.weight.data_ptr(), self.weight.dtype)
        if self._kept is None or self._kept[0] != version:
            kernel = self._compose().contiguous(memory_format=torch.channels_last_3d)
            self._kept = (version, kernel)
        return self._kept[1]

    def train(self, mode: bool = True) -> "UnpoolConv3d":
        self._kept = None  # fused optimizers change weights without a new version of them
        return super().train(mode)

    def _compose(self) -> Tensor:
        a = self.weight.new_tensor(self.taps)
        return torch.einsum("ai,bj,ck,oxijk->xoabc", a, a, a, self.weight)


class PooledConv(nn.Conv2d):
    """A 'same' convolution and 2×2 max-pooling, for LeakyReLU to follow.

    The paper pools last. LeakyReLU is monotone, so the order changes nothing but the cost.
    `pool_padding` is the authors' padding of the pooling by one pixel.
    """

    def __init__(self, in_channels, out_channels, kernel, pool_padding: int):
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2)
        self.pool_padding = pool_padding

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C', H / 2, W / 2)
        return F.max_pool2d(super().forward(x), 2, padding=self.pool_padding)


def unpool(x: Tensor, unpooling: str) -> Tensor:
    """Unpool a grid by 2: (B, C, D, D, D) -> (B, C, 2D, 2D, 2D)."""
    if unpooling == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    spread = x.new_zeros(*x.shape[:2], *(2 * size for size in x.shape[2:]))
    spread[:, :, ::2, ::2, ::2] = x
    return spread


@torch.no_grad()
def xavier_init(module: nn.Module) -> None:
    """The authors' initialization: weights N(0, √(2/n)) with n the mean of fan-in and fan-out.

    Biases are 0.1. A module that holds several gates in one weight counts one gate's outputs; it
    says so in `gates`.
    """
    for part in module.modules():
        if getattr(part, "weight", None) is None:
            continue
        weight = part.weight
        fan_in = weight[0].numel()
        fan_out = weight.numel() // weight.shape[1] // getattr(part, "gates", 1)
        weight.normal_(0, math.sqrt(2 / ((fan_in + fan_out) / 2)))
        if part.bias is not None:
            part.bias.fill_(0.1)


@torch.no_grad()
def standardise(layer: nn.Module, outputs: Tensor) -> Tensor:
    """Scale and shift a layer so that each channel of `outputs`, (N, C, ...), has mean 0 and
    deviation 1. Returns what it puts out then.
    """
    axes = [axis for axis in range(outputs.ndim) if axis != 1]
    mean, deviation = outputs.mean(axes), outputs.std(axes).clamp_min(1e-6)
    layer.weight.div_(deviation.view(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias.sub_(mean).div_(deviation)
    channels = (-1, *[1] * (outputs.ndim - 2))
    return (outputs - mean.view(channels)) / deviation.view(channels)

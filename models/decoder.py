"""The 3D decoders: a hidden grid of 4³ becomes the logits of 32³ voxels (section 3.3).

A `coarse` decoder leaves its last unpooling out: the same parameters, 16³ voxels, and a quarter to
a half of the cost, to begin a training with.
"""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import UnpoolConv3d, unpool

CHANNELS = (128, 128, 64, 32)


def conv(before: int, after: int, kernel: int = 3) -> nn.Conv3d:
    return nn.Conv3d(before, after, kernel, padding=kernel // 2)


class ShallowDecoder(nn.Module):
    """Three unpoolings and five convolutions."""

    def __init__(self, hidden: int, channels, unpooling: str, slope: float):
        super().__init__()
        self.unpooling, self.slope = unpooling, slope
        first, second, third, fourth = channels
        self.conv1 = UnpoolConv3d(hidden, first, unpooling)
        self.conv2 = UnpoolConv3d(first, second, unpooling)
        self.conv3 = UnpoolConv3d(second, third, unpooling)
        self.conv4 = conv(third, fourth)
        self.conv5 = conv(fourth, 2)

    def forward(self, x: Tensor, coarse: bool = False) -> Tensor:
        """(B, C, 4, 4, 4) -> (B, 2, 32, 32, 32), or (B, 2, 16, 16, 16) if `coarse`."""
        for layer in (self.conv1, self.conv2, partial(self.conv3, coarse=coarse), self.conv4):
            x = F.leaky_relu(layer(x), self.slope, inplace=True)
        return self.conv5(x)


class ResidualDecoder(nn.Module):
    """The authors' residual decoder, names as in their code (blocks 7 to 11)."""

    def __init__(self, hidden: int, channels, unpooling: str, slope: float):
        super().__init__()
        self.unpooling, self.slope = unpooling, slope
        first, second, third, fourth = channels
        self.conv7a = UnpoolConv3d(hidden, first, unpooling)
        self.conv7b = conv(first, first)
        self.conv8a = UnpoolConv3d(first, second, unpooling)
        self.conv8b = conv(second, second)
        self.conv9a = UnpoolConv3d(second, third, unpooling)
        self.conv9b = conv(third, third)
        self.conv9c = conv(second, third, 1)
        self.conv10a = conv(third, fourth)
        self.conv10b = conv(fourth, fourth)
        self.conv10c = conv(fourth, fourth)
        self.conv11 = conv(fourth, 2)

    def forward(self, x: Tensor, coarse: bool = False) -> Tensor:
        """(B, C, 4, 4, 4) -> (B, 2, 32, 32, 32), or (B, 2, 16, 16, 16) if `coarse`."""
        x = self.branch(x, self.conv7a, self.conv7b) + unpool(x, self.unpooling)
        x = self.branch(x, self.conv8a, self.conv8b) + unpool(x, self.unpooling)
        conv9a = partial(self.conv9a, coarse=coarse)
        x = self.branch(x, conv9a, self.conv9b) + self.widened(x, coarse)
        a = F.leaky_relu(self.conv10a(x), self.slope)
        b = F.leaky_relu(self.conv10b(a), self.slope)
        return self.conv11(b + self.conv10c(a))

    def branch(self, x: Tensor, a, b) -> Tensor:
        return F.leaky_relu(b(F.leaky_relu(a(x), self.slope)), self.slope)

    def widened(self, x: Tensor, coarse: bool) -> Tensor:
        """conv9c of the unpooled x; its 1×1×1 kernel costs an eighth before the unpooling."""
        narrow = F.conv3d(x, self.conv9c.weight)
        wide = narrow if coarse else unpool(narrow, self.unpooling)
        return wide + self.conv9c.bias.view(-1, 1, 1, 1)

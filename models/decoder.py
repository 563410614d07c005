"""3D decoders: a hidden grid of 4³ becomes the logits of 32³ voxels (section 3.3).

For 64³, which the paper does not have, both get one more unpooling before their last layer.
"""

from torch import Tensor, nn

from models.layers import UnpoolConv3d, unpool

CHANNELS = (128, 128, 64, 32, 16)  # the last one for 64³ voxels only


def conv3d(in_channels: int, out_channels: int, kernel_size: int = 3) -> nn.Conv3d:
    return nn.Conv3d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)


class ShallowDecoder(nn.Module):
    """Three unpoolings, each with a convolution, and two further convolutions."""

    def __init__(self, hidden_channels, channels, unpooling, leaky_slope, resolution=32):
        super().__init__()
        c1, c2, c3, c4, c5 = channels
        self.resolution = resolution
        self.conv1 = UnpoolConv3d(hidden_channels, c1, unpooling)
        self.conv2 = UnpoolConv3d(c1, c2, unpooling)
        self.conv3 = UnpoolConv3d(c2, c3, unpooling)
        self.conv4 = conv3d(c3, c4)
        if resolution == 64:
            self.conv64 = UnpoolConv3d(c4, c5, unpooling)
        self.conv5 = conv3d(c5 if resolution == 64 else c4, 2)
        self.activation = nn.LeakyReLU(leaky_slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, 4, 4, 4)
        x = self.activation(self.conv1(x))  # (B, 128, 8, 8, 8)
        x = self.activation(self.conv2(x))  # (B, 128, 16, 16, 16)
        x = self.activation(self.conv3(x))  # (B, 64, 32, 32, 32)
        x = self.activation(self.conv4(x))  # (B, 32, 32, 32, 32)
        if self.resolution == 64:
            x = self.activation(self.conv64(x))  # (B, 16, 64, 64, 64)
        return self.conv5(x)  # (B, 2, D, D, D)


class ResidualDecoder(nn.Module):
    """The residual decoder, with the official code's names of layers."""

    def __init__(self, hidden_channels, channels, unpooling, leaky_slope, resolution=32):
        super().__init__()
        self.unpooling, self.resolution = unpooling, resolution
        c1, c2, c3, c4, c5 = channels
        self.conv7a = UnpoolConv3d(hidden_channels, c1, unpooling)
        self.conv7b = conv3d(c1, c1)
        self.conv8a = UnpoolConv3d(c1, c2, unpooling)
        self.conv8b = conv3d(c2, c2)
        self.conv9a = UnpoolConv3d(c2, c3, unpooling)
        self.conv9b = conv3d(c3, c3)
        self.conv9c = conv3d(c2, c3, 1)
        self.conv10a = conv3d(c3, c4)
        self.conv10b = conv3d(c4, c4)
        self.conv10c = conv3d(c4, c4)
        if resolution == 64:
            self.conv64a = UnpoolConv3d(c4, c5, unpooling)
            self.conv64b = conv3d(c5, c5)
            self.conv64c = conv3d(c4, c5, 1)
        self.conv11 = conv3d(c5 if resolution == 64 else c4, 2)
        self.activation = nn.LeakyReLU(leaky_slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, 4, 4, 4)
        act = self.activation
        x = act(self.conv7b(act(self.conv7a(x)))) + self.unpool(x)  # (B, 128, 8, 8, 8)
        x = act(self.conv8b(act(self.conv8a(x)))) + self.unpool(x)  # (B, 128, 16, 16, 16)
        x = act(self.conv9b(act(self.conv9a(x)))) + self.skip(x, self.conv9c)  # (B, 64, 32, 32, 32)
        a = act(self.conv10a(x))  # (B, 32, 32, 32, 32)
        x = act(self.conv10b(a)) + self.conv10c(a)
        if self.resolution == 64:
            x = act(self.conv64b(act(self.conv64a(x)))) + self.skip(x, self.conv64c)
        return self.conv11(x)  # (B, 2, D, D, D)

    def unpool(self, x: Tensor) -> Tensor:
        return unpool(x, self.unpooling)

    def skip(self, x: Tensor, conv: nn.Conv3d) -> Tensor:
        """Compute `conv(unpool(x))` of a 1×1×1 convolution, in the cheaper order where equal."""
        if self.unpooling == "nearest":
            return self.unpool(conv(x))
        return conv(self.unpool(x))

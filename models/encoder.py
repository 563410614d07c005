"""2D encoders: an image becomes a feature vector (section 3.1 of the paper)."""

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from models.layers import ConvPool2d

CHANNELS = (96, 128, 256, 256, 256, 256)
FEATURES = 1024


def pooled_size(image_size: int, pool_padding: int) -> int:
    """Return the side of the feature map after six poolings."""
    for _ in CHANNELS:
        image_size = (image_size + 2 * pool_padding) // 2
    return image_size


class ShallowEncoder(nn.Module):
    """Six convolutions, each max-pooled, and a linear layer."""

    def __init__(self, channels, features, image_size, pool_padding, leaky_slope):
        super().__init__()
        c1, c2, c3, c4, c5, c6 = channels
        self.conv1 = ConvPool2d(3, c1, 7, pool_padding)
        self.conv2 = ConvPool2d(c1, c2, 3, pool_padding)
        self.conv3 = ConvPool2d(c2, c3, 3, pool_padding)
        self.conv4 = ConvPool2d(c3, c4, 3, pool_padding)
        self.conv5 = ConvPool2d(c4, c5, 3, pool_padding)
        self.conv6 = ConvPool2d(c5, c6, 3, pool_padding)
        self.fc = nn.Linear(c6 * pooled_size(image_size, pool_padding) ** 2, features)
        self.activation = nn.LeakyReLU(leaky_slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = self.activation(self.conv1(x))  # (N, 96, S/2, S/2)
        x = self.activation(self.conv2(x))  # (N, 128, S/4, S/4)
        x = self.activation(self.conv3(x))  # (N, 256, S/8, S/8)
        x = self.activation(self.conv4(x))  # (N, 256, S/16, S/16)
        x = self.activation(self.conv5(x))  # (N, 256, S/32, S/32)
        x = self.activation(self.conv6(x))  # (N, 256, S/64, S/64)
        return self.activation(self.fc(x.flatten(1)))  # (N, F)


class ResidualBlock2d(nn.Module):
    """Two convolutions, a skip connection and 2×2 max-pooling.

    `skip` is "none", "identity" or "conv" (1×1). As in the official code, LeakyReLU follows each
    convolution of the branch and nothing follows the sum.
    """

    def __init__(self, in_channels, out_channels, kernel_size, skip, pool_padding, leaky_slope):
        super().__init__()
        self.a = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.b = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.c = nn.Conv2d(in_channels, out_channels, 1) if skip == "conv" else None
        self.skip, self.pool_padding = skip, pool_padding
        self.activation = nn.LeakyReLU(leaky_slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C', H/2, W/2)
        y = self.activation(self.b(self.activation(self.a(x))))
        if self.skip == "conv":
            y = y + self.c(x)
        elif self.skip == "identity":
            y = y + x
        return max_pool2d(y, 2, padding=self.pool_padding)


class ResidualEncoder(nn.Module):
    """Six residual blocks and a linear layer."""

    def __init__(self, channels, features, image_size, pool_padding, leaky_slope):
        super().__init__()
        c1, c2, c3, c4, c5, c6 = channels
        self.blocks = nn.Sequential(
            ResidualBlock2d(3, c1, 7, "none", pool_padding, leaky_slope),
            ResidualBlock2d(c1, c2, 3, "conv", pool_padding, leaky_slope),
            ResidualBlock2d(c2, c3, 3, "conv", pool_padding, leaky_slope),
            ResidualBlock2d(c3, c4, 3, "none", pool_padding, leaky_slope),
            ResidualBlock2d(c4, c5, 3, "conv", pool_padding, leaky_slope),
            ResidualBlock2d(c5, c6, 3, "identity", pool_padding, leaky_slope),
        )
        self.fc = nn.Linear(c6 * pooled_size(image_size, pool_padding) ** 2, features)
        self.activation = nn.LeakyReLU(leaky_slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = self.blocks(x)  # (N, 256, S/64, S/64)
        return self.activation(self.fc(x.flatten(1)))  # (N, F)

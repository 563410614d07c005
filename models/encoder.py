"""The 2D encoders: one picture becomes one feature vector (section 3.1 of the paper)."""

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import PooledConv

CHANNELS = (96, 128, 256, 256, 256, 256)
FEATURES = 1024


def pooled_size(size: int, pool_padding: int) -> int:
    """Side of the feature map after six poolings of a picture of `size` pixels."""
    for _ in CHANNELS:
        size = (size + 2 * pool_padding) // 2
    return size


class ShallowEncoder(nn.Module):
    """Six convolutions, each pooled, and a linear layer."""

    def __init__(self, channels, features: int, image_size: int, pool_padding: int, slope: float):
        super().__init__()
        self.slope = slope
        kernels = (7, 3, 3, 3, 3, 3)
        for n, (before, after, kernel) in enumerate(
            zip((3, *channels), channels, kernels, strict=False), start=1
        ):
            self.add_module(f"conv{n}", PooledConv(before, after, kernel, pool_padding))
        self.fc = nn.Linear(channels[-1] * pooled_size(image_size, pool_padding) ** 2, features)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W) -> (N, features)
        for n in range(1, 7):
            x = F.leaky_relu(self.get_submodule(f"conv{n}")(x), self.slope, inplace=True)
        return F.leaky_relu(self.fc(x.flatten(1)), self.slope)


class ResidualBlock2d(nn.Module):
    """Two convolutions, a skip connection, 2×2 max-pooling.

    `skip` is "none", "identity" or "conv" (1×1). LeakyReLU follows each convolution of the branch,
    and nothing follows the sum: the released weights depend on it.
    """

    def __init__(self, before, after, kernel, skip: str, pool_padding: int, slope: float):
        super().__init__()
        self.a = nn.Conv2d(before, after, kernel, padding=kernel // 2)
        self.b = nn.Conv2d(after, after, 3, padding=1)
        self.c = nn.Conv2d(before, after, 1) if skip == "conv" else None
        self.skip, self.pool_padding, self.slope = skip, pool_padding, slope

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C', H / 2, W / 2)
        branch = F.leaky_relu(self.b(F.leaky_relu(self.a(x), self.slope)), self.slope)
        if self.skip == "conv":
            branch = branch + self.c(x)
        elif self.skip == "identity":
            branch = branch + x
        return F.max_pool2d(branch, 2, padding=self.pool_padding)


class ResidualEncoder(nn.Module):
    """Six residual blocks and a linear layer."""

    def __init__(self, channels, features: int, image_size: int, pool_padding: int, slope: float):
        super().__init__()
        self.slope = slope
        kernels = (7, 3, 3, 3, 3, 3)
        skips = ("none", "conv", "conv", "none", "conv", "identity")
        self.blocks = nn.Sequential(
            *(
                ResidualBlock2d(before, after, kernel, skip, pool_padding, slope)
                for before, after, kernel, skip in zip(
                    (3, *channels[:-1]), channels, kernels, skips, strict=True
                )
            )
        )
        self.fc = nn.Linear(channels[-1] * pooled_size(image_size, pool_padding) ** 2, features)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W) -> (N, features)
        return F.leaky_relu(self.fc(self.blocks(x).flatten(1)), self.slope)

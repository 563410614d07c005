"""Layers and calls with a faster form than the textbook's, which tests/reference.py has."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

UNPOOLINGS = ("nearest", "zero")


def unpool(x: Tensor, unpooling: str) -> Tensor:
    """Double the side of a grid: (B, C, D, D, D) -> (B, C, 2D, 2D, 2D).

    "nearest" repeats each value in its 2×2×2 cells; "zero" keeps it in the first and puts 0 in the
    other seven.
    """
    if unpooling == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    output = x.new_zeros(*x.shape[:2], *(2 * side for side in x.shape[2:]))
    output[:, :, ::2, ::2, ::2] = x
    return output


# After nearest unpooling, neighboring taps of a 3×3×3 kernel see the same value. Along one axis,
# they form these four sums (rows); all three axes map its 27 taps to the transposed kernel's 64.
_AXIS = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
_NEAREST_TAPS = torch.kron(torch.kron(_AXIS, _AXIS), _AXIS).T.contiguous()  # (27, 64)


class UnpoolConv3d(nn.Conv3d):
    """`conv3d(unpool(x))` with a kernel of 3, as one transposed convolution of stride 2.

    Sums of the taps that see the same value, or the taps in reverse for "zero", are the transposed
    kernel. It needs an eighth to a third of the multiplications.
    """

    def __init__(self, in_channels: int, out_channels: int, unpooling: str):
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)
        self.unpooling = unpooling

    def forward(self, x: Tensor) -> Tensor:  # (B, C, D, D, D) -> (B, C', 2D, 2D, 2D)
        # Composed in every call: a stored kernel would miss changes of the weight.
        if self.unpooling == "nearest":
            taps = _NEAREST_TAPS.to(self.weight, non_blocking=True)  # or a GPU would be waited for
            kernel = self.weight.flatten(2) @ taps
            kernel, extra = kernel.unflatten(2, (4, 4, 4)), 0
        else:
            kernel, extra = self.weight.flip(2, 3, 4), 1
        kernel = kernel.transpose(0, 1)
        x = F.conv_transpose3d(x, kernel, None, 2, padding=1, output_padding=extra)
        # Added here: the bias gradient of a transposed convolution takes a CPU longer than a sum.
        return x.add_(self.bias.to(x.dtype).view(-1, 1, 1, 1))


class ConvPool2d(nn.Conv2d):
    """A convolution that keeps the size, then 2×2 max-pooling, to be followed by LeakyReLU.

    The paper pools after LeakyReLU. LeakyReLU is monotone, so the order does not change the result,
    and after the pooling it has a quarter of the values to compute.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, pool_padding: int):
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.pool_padding = pool_padding

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C', H / 2, W / 2)
        return F.max_pool2d(super().forward(x), 2, padding=self.pool_padding)


class FewRowLinear(nn.Linear):
    """`nn.Linear` whose weight is the left factor, (W xᵀ)ᵀ, when x has few rows.

    MKL then reads a large weight faster: 6% of a forward pass with 3 views.
    """

    def forward(self, x: Tensor) -> Tensor:  # (N, F) -> (N, F')
        if len(x) > 5:
            return super().forward(x)
        output = F.linear(self.weight, x).T
        return output if self.bias is None else output + self.bias


def in_chunks(encoder: nn.Module, images: Tensor, grad_checkpointing: bool) -> Tensor:
    """Call `encoder(images)` in chunks where that bounds the memory: (N, 3, S, S) -> (N, F)."""
    if not torch.is_grad_enabled():
        chunk_size = 4 if images.device.type == "cpu" else 64  # 4 images fit a CPU's caches
        return torch.cat([encoder(chunk) for chunk in images.split(chunk_size)])
    if grad_checkpointing:
        return torch.cat([recomputed(encoder, chunk) for chunk in images.split(8)])
    return encoder(images)


def recomputed(module: nn.Module, x: Tensor) -> Tensor:
    """Call `module(x)` without keeping its activations; the backward pass computes them again."""
    return checkpoint(module, x, use_reentrant=False, preserve_rng_state=False)

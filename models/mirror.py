"""Reconstruct from mirrored views as well: usually better (not in the paper)."""

from collections.abc import Iterator

from torch import Tensor, nn

from models.network import R2N2

MIRROR_HELP = "average with the result from mirrored views: usually better, in twice the time"


class MirrorAverage(nn.Module):
    """Averages the logits from the views and, mirrored back, those from mirrored views.

    `forward` and `forward_all_views` are those of the network.
    """

    def __init__(self, network: R2N2):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images), self.network(images.flip(-1)).flip(-1)
        return sum(logits) / 2

    def forward_all_views(self, images: Tensor) -> Iterator[Tensor]:
        mirrored = self.network.forward_all_views(images.flip(-1))
        for logits, others in zip(self.network.forward_all_views(images), mirrored, strict=True):
            yield (logits + others.flip(-1)) / 2  # z is the axis from left to right

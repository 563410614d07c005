"""Reconstruct from the mirrored views as well, and average: usually better, not in the paper."""

from collections.abc import Iterator

from torch import Tensor, nn

from models.network import R2N2

MIRROR_HELP = "average with the result from the mirrored views: usually better"


class MirrorAverage(nn.Module):
    """Averages the logits from the views and from the mirrored views.

    Training mirrors half of the views and not the voxels, so that both show the same voxels to the
    network. `forward` and `forward_all_views` are as of R2N2.
    """

    def __init__(self, network: R2N2):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return (self.network(images) + self.network(images.flip(-1))) / 2

    def forward_all_views(self, images: Tensor) -> Iterator[Tensor]:
        mirrored = self.network.forward_all_views(images.flip(-1))
        for logits, others in zip(self.network.forward_all_views(images), mirrored, strict=True):
            yield (logits + others) / 2

"""U²-Net-p, the small salient-object network: it finds the main object of a photograph.

Qin et al., "U²-Net: Going deeper with nested U-structure for salient object detection", Pattern
Recognition 106, 2020 (figures 2 and 5). Batch normalization is folded into the convolutions.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from models.weights import read_torch

WEIGHTS = Path(__file__).parent / "pretrained" / "u2netp.pth"
IMAGE_SIZE = 320
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
INNER_CHANNELS, OUT_CHANNELS = 16, 64


class ConvReLU(nn.Conv2d):
    """A 3×3 convolution that keeps the size, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1):
        super().__init__(in_channels, out_channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


def upsample(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class ResidualUBlock(nn.Module):
    """RSU: a U-Net of `depth` levels within a residual block.

    Where it is `dilated` (RSU-4F), growing dilations take the place of pooling and upsampling.
    """

    def __init__(self, in_channels: int, depth: int, dilated: bool = False):
        super().__init__()
        inner = INNER_CHANNELS
        # Level by level on the way down; the deepest level of a pooled block is not pooled itself.
        dilations = [2**i for i in range(depth)] if dilated else [1] * (depth - 1) + [2]
        self.first = ConvReLU(in_channels, OUT_CHANNELS)
        self.down = nn.ModuleList(
            ConvReLU(OUT_CHANNELS if i == 0 else inner, inner, dilation)
            for i, dilation in enumerate(dilations)
        )
        up = list(reversed(dilations[:-1]))
        self.up = nn.ModuleList(
            ConvReLU(2 * inner, OUT_CHANNELS if i == depth - 2 else inner, dilation)
            for i, dilation in enumerate(up)
        )
        self.pooled = not dilated

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, 64, H, W)
        x = first = self.first(x)
        skips = []
        for i, conv in enumerate(self.down):
            if self.pooled and 0 < i < len(self.down) - 1:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = conv(x)
            skips.append(x)
        skips.pop()
        for conv in self.up:
            skip = skips.pop()
            x = conv(torch.cat([upsample(x, skip), skip], dim=1))
        return first + x


class U2NetP(nn.Module):
    """Six encoder blocks, five decoder blocks, and a saliency map from each scale."""

    def __init__(self):
        super().__init__()
        depths, dilated = (7, 6, 5, 4, 4, 4), (False, False, False, False, True, True)
        self.encoder = nn.ModuleList(
            ResidualUBlock(3 if i == 0 else OUT_CHANNELS, depths[i], dilated[i]) for i in range(6)
        )
        self.decoder = nn.ModuleList(
            ResidualUBlock(2 * OUT_CHANNELS, depths[i], dilated[i]) for i in (4, 3, 2, 1, 0)
        )
        self.sides = nn.ModuleList(nn.Conv2d(OUT_CHANNELS, 1, 3, padding=1) for _ in range(6))
        self.out = nn.Conv2d(6, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Predict saliency.

        Args:
            images (Tensor): (B, 3, 320, 320), normalized by `MEAN` and `STD`.

        Returns:
            Tensor: (B, 320, 320), the probability that a pixel belongs to the main object.
        """
        x, skips = images, []
        for i, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2, ceil_mode=True) if i > 0 else x)
            skips.append(x)
        outputs = [skips.pop()]
        for block in self.decoder:
            skip = skips.pop()
            x = block(torch.cat([upsample(x, skip), skip], dim=1))
            outputs.insert(0, x)  # finest first
        maps = [upsample(side(x), images) for side, x in zip(self.sides, outputs, strict=True)]
        return self.out(torch.cat(maps, dim=1)).sigmoid()[:, 0]


class Segmenter:
    """U²-Net-p with its published weights.

    Calling it with an RGB image (W, H) returns the probability (H, W), float32 in [0, 1], that a
    pixel belongs to the main object.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.device, self.network = device, U2NetP()
        self.network.load_state_dict(read_torch(WEIGHTS))  # half precision, copied into float32
        self.network.eval().to(device)

    @torch.inference_mode()
    def __call__(self, image: Image.Image) -> np.ndarray:
        resized = image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized, np.float32)
        pixels = pixels / max(pixels.max(), 1)
        pixels = ((pixels - MEAN) / STD).astype(np.float32)
        batch = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None]
        probability = self.network(batch)[:, None]  # (1, 1, 320, 320)
        shape = (image.height, image.width)
        return F.interpolate(probability, shape, mode="bilinear")[0, 0].cpu().numpy()

"""Find the main object of a photograph."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from models import u2net
from models.weights import read_torch

WEIGHTS = Path(__file__).parents[1] / "models" / "pretrained" / "u2netp.pth"


class Segmenter:
    """U²-Net-p with its published weights.

    Calling it with an RGB image (W, H) returns the probability (H, W), float32 in [0, 1], that a
    pixel belongs to the main object.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.network = u2net.U2NetP()
        self.network.load_state_dict(read_torch(WEIGHTS))  # half precision, copied into float32
        self.network.eval().to(self.device)

    @torch.inference_mode()
    def __call__(self, image: Image.Image) -> np.ndarray:
        size = (u2net.IMAGE_SIZE, u2net.IMAGE_SIZE)
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)
        pixels = pixels / max(pixels.max(), 1)
        pixels = ((pixels - u2net.MEAN) / u2net.STD).astype(np.float32)
        batch = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None]
        probability = self.network(batch)[:, None]  # (1, 1, 320, 320)
        shape = (image.height, image.width)
        return F.interpolate(probability, shape, mode="bilinear")[0, 0].cpu().numpy()

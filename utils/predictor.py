"""Voxels from images of one object, in one call."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from data.photographs import prepare_photograph
from data.transforms import as_bytes, eval_transform, letterbox, read_image
from models import R2N2
from utils.errors import InputError
from utils.metrics import occupancy_logits
from utils.precision import Precision


class Predictor:
    """A network with the preprocessing and postprocessing it needs.

    Args:
        network (R2N2): Moved to `device` and set to evaluation mode.
        device (str | torch.device): As PyTorch names it.
        precision (str): fp32, tf32, bf16 or fp16.
        crop (bool): Remove a plain background and scale the object as in the training data. Else
            the whole image is scaled.
    """

    def __init__(self, network: R2N2, device="cpu", precision: str = "fp32", crop: bool = True):
        self.device, self.crop = torch.device(device), crop
        self.network = network.to(self.device).eval()
        self.precision = Precision(precision, self.device)

    def __call__(self, images, *, all_views: bool = False) -> np.ndarray:
        """Reconstruct an object.

        Args:
            images (list): V of PIL images, paths, and (H, W, 3 or 4) uint8 arrays; or one of them.
            all_views (bool): Return the predictions from the first 1, 2, ... V images.

        Returns:
            ndarray: (32, 32, 32) float32, the probability in [0, 1] that a voxel is occupied, axes
                x, y, z: y is up and the front of the object is towards +x. With `all_views`,
                (V, 32, 32, 32).

        Raises:
            InputError: If there is no image, or one cannot be read.
        """
        return self.predict(self.preprocess(images), all_views=all_views)

    def preprocess(self, images) -> np.ndarray:
        """Make the input views of `predict`, (V, S, S, 3) uint8, of images as of `__call__`."""
        if isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", None) == 3:
            images = [images]
        prepare = prepare_photograph if self.crop else letterbox
        views = [
            eval_transform(prepare(_to_rgba(image)), self.network.image_size) for image in images
        ]
        if not views:
            raise InputError("images: expected one or more, got none")
        return as_bytes(views)

    @torch.no_grad()
    def predict(self, views: np.ndarray, *, all_views: bool = False) -> np.ndarray:
        """Return what `__call__` does, from (V, S, S, 3) uint8 input views, S as in the network."""
        batch = torch.tensor(views, device=self.device).permute(0, 3, 1, 2)[None] / 255
        self.network.eval()
        with self.precision.autocast():
            if all_views:
                logits = torch.cat([*self.network.forward_all_views(batch)])  # (V, 2, 32, 32, 32)
            else:
                logits = self.network(batch)[0]  # (2, 32, 32, 32)
        return torch.sigmoid(occupancy_logits(logits).float()).cpu().numpy()


def _to_rgba(image) -> Image.Image:
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
            raise InputError(
                f"images: expected (H, W, 3 or 4) uint8, got {image.shape} {image.dtype}"
            )
        image = Image.fromarray(image)
    return ImageOps.exif_transpose(image).convert("RGBA")

"""Voxels from images of one object, in one call."""

import warnings
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data.background import Cutout, cut_out
from data.photographs import convert_photograph, find_images, object_mask, read_photograph
from data.transforms import eval_transform, letterbox
from models import R2N2, load_network
from models.mirror import MirrorAverage
from models.u2net import Segmenter
from utils.distributed import Precision, choose_device
from utils.errors import InputError
from utils.metrics import occupancy_logits


class Predictor:
    """A network with the preprocessing and postprocessing it needs.

    Args:
        network (R2N2 | str | Path): A network, or its file; moved to `device`, in evaluation mode.
        device (str | torch.device): As PyTorch names it, or "auto": a GPU if there is one.
        precision (str): fp32, tf32, bf16, fp16 or auto, see `Precision`.
        crop (bool): Find the object and scale it as in the training data. Else the whole image is
            scaled.
        mirror (bool): Average with the result from the mirrored views.

    Attributes:
        network (R2N2): The network.
        model (R2N2 | MirrorAverage): What predicts: the network, or the average.
    """

    def __init__(
        self,
        network,
        device="cpu",
        precision: str = "fp32",
        crop: bool = True,
        mirror: bool = False,
    ):
        self.device, self.crop = choose_device(str(device)), crop
        if not isinstance(network, R2N2):
            network = load_network(network)
        self.network = network.to(self.device).eval()
        self.model = MirrorAverage(self.network) if mirror else self.network
        self.precision = Precision(precision, self.device)

    def __call__(self, images, masks=None, *, all_views: bool = False) -> np.ndarray:
        """Reconstruct an object, or several.

        What is doubtful about an object that was found in an image is given as a warning.

        Args:
            images: The V images of an object, or one of them. An image is a path, a PIL image, a
                uint8 array (H, W, 3 or 4), or a tensor (3, H, W), uint8 or float in [0, 1]. The
                path of a folder stands for all its images. A list of such lists, and a tensor
                (B, V, 3, H, W), are B objects.
            masks: The same for the masks, white or opaque where the object is.
            all_views (bool): Return the predictions from the first 1, 2, ... V images.

        Returns:
            ndarray: (D, D, D) float32, the probability in [0, 1] that a voxel is occupied, axes
                x, y, z: y is up and the front of the object is towards +x. With `all_views`,
                (V, D, D, D). Of several objects, (B, ...).

        Raises:
            InputError: If there is no image, one cannot be read, or its object cannot be found.
        """
        if _is_batch(images):
            masks = masks if masks is not None else [None] * len(images)
            pairs = zip(images, masks, strict=True)
            return np.stack([self(*pair, all_views=all_views) for pair in pairs])
        images = _to_list(images)
        cutouts = self.cut_out(images, masks)
        for i, (image, cutout) in enumerate(zip(images, cutouts, strict=True)):
            name = image if isinstance(image, str | Path) else f"image {i}"
            for text in cutout.warnings:
                remedy = "pass masks to choose the object"
                warnings.warn(f"{name}: {text}; {remedy}", stacklevel=2)
        return self.predict(self.preprocess(cutouts), all_views=all_views)

    def cut_out(self, images, masks=None) -> list[Cutout]:
        """Find the object in each of the images of one object that `__call__` takes."""
        images, masks = _to_list(images), _to_list([] if masks is None else masks)
        if not images:
            raise InputError("images: expected one or more, got none")
        if masks and not self.crop:
            raise InputError("mask: without cropping, the whole image is used")
        if masks and len(masks) != len(images):
            raise InputError(f"mask: expected {len(images)}, one per image, got {len(masks)}")
        return [self._cut_out(*pair) for pair in zip_longest(images, masks)]

    def _cut_out(self, source, mask) -> Cutout:
        image = to_rgba(source)
        if not self.crop:
            return Cutout(letterbox(image), "whole image")
        if mask is not None:
            mask = to_rgba(mask, "mask")
        try:
            values = None if mask is None else object_mask(mask, image.size)
            return cut_out(image, values, lambda rgb: self.segmenter(rgb))
        except InputError as error:
            name = source if isinstance(source, str | Path) else "image"
            raise InputError(f"{name}: {error}") from None

    def preprocess(self, cutouts: list[Cutout]) -> np.ndarray:
        """Make the input views of `predict`, (V, S, S, 3) uint8."""
        return np.stack([eval_transform(c.image, self.network.image_size) for c in cutouts])

    @cached_property
    def segmenter(self) -> Segmenter:
        return Segmenter(self.device)  # loaded when an image needs it

    @torch.no_grad()
    def predict(self, views: np.ndarray, *, all_views: bool = False) -> np.ndarray:
        """Return what `__call__` does, from (V, S, S, 3) uint8 input views, S as in the network."""
        batch = torch.tensor(views, device=self.device).permute(0, 3, 1, 2)[None] / 255
        with self.precision.autocast():
            if all_views:
                logits = torch.cat([*self.model.forward_all_views(batch)])  # (V, 2, D, D, D)
            else:
                logits = self.model(batch)[0]  # (2, D, D, D)
        return torch.sigmoid(occupancy_logits(logits).float()).cpu().numpy()


def _is_batch(images) -> bool:
    """Return whether `images` are those of several objects."""
    if isinstance(images, list | tuple):
        return any(isinstance(i, list | tuple) or getattr(i, "ndim", 0) == 4 for i in images)
    return getattr(images, "ndim", 0) == 5


def _to_list(images) -> list:
    """Return the images of one object as a list, those in folders one by one."""
    if isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 0) in (2, 3):
        images = [images]
    found = []
    for image in images:
        found += find_images([image])[0] if isinstance(image, str | Path) else [image]
    return found


def to_rgba(image, name: str = "images") -> Image.Image:
    """Return a path's, an array's, a tensor's or a PIL image as RGBA, upright and in sRGB."""
    if isinstance(image, str | Path):
        return read_photograph(image)
    if isinstance(image, torch.Tensor) and image.ndim == 3:
        if image.is_floating_point() and image.min() >= 0 and image.max() <= 1:
            image = (255 * image).round().to(torch.uint8)
        image = image.permute(1, 2, 0).cpu().numpy()
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] in ((3,), (4,))):
            expected = "uint8 in [0, 255], floats of tensors in [0, 1], and 3 or 4 channels"
            raise InputError(f"{name}: expected {expected}, got {image.shape} {image.dtype}")
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        expected = "a path, a PIL image, an array or a tensor"
        raise InputError(f"{name}: expected {expected}, got {type(image).__name__}")
    try:
        return convert_photograph(image)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error

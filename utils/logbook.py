"""What TensorBoard shows of a training."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from data.sampling import Draw
from data.shapenet import Samples, collate
from utils.engine import to_device
from utils.metrics import evidence
from utils.pictures import draw_voxels

SHOWN = 4  # objects


class Logbook:
    """Scalars of every epoch, and what the network makes of a few fixed objects."""

    def __init__(self, folder: Path, step: int, samples: Samples, members: list[int]):
        self.writer = SummaryWriter(folder / "tensorboard", purge_step=step + 1)
        self.samples, self.members = samples, members[:SHOWN]

    def close(self) -> None:
        self.writer.close()

    def write(self, step: int, metrics: dict, rate: float, network, device, config) -> None:
        """Record an epoch that ended with optimizer step number `step`."""
        for part, values in metrics.items():
            for name, value in values.items():
                self.writer.add_scalar(f"{name}/{part}", value, step)
        self.writer.add_scalar("learning_rate", rate, step)
        draws = [Draw(position, 0, config.max_views) for position in self.members]
        images, voxels, positions = collate([self.samples[draw] for draw in draws])
        with torch.no_grad():
            logits = network.eval()(to_device(images, voxels, device)[0])
        predictions = torch.sigmoid(evidence(logits)).cpu().numpy() >= config.threshold
        for position, views, truth, prediction in zip(
            positions, images, voxels.numpy(), predictions, strict=True
        ):
            drawn = [np.asarray(draw_voxels(grid)) for grid in (truth, prediction)]
            name = self.samples.index.names[position]
            self.writer.add_images(f"{name}/views", views, step)
            self.writer.add_image(
                f"{name}/truth and prediction", np.hstack(drawn), step, dataformats="HWC"
            )

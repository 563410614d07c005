"""What TensorBoard shows of a training."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from data.sampling import SampleKey
from data.shapenet import ShapeNetDataset, collate
from utils.engine import to_device
from utils.metrics import occupancy_logits
from utils.surface import voxels_to_mesh
from utils.visualize import COLOR, draw_voxels

SHOWN = 4  # objects


class TensorBoardLogger:
    """Scalars of every epoch, and what the network makes of a few fixed objects."""

    def __init__(self, folder: Path, step: int, samples: ShapeNetDataset, members: list[int]):
        self.writer = SummaryWriter(folder / "tensorboard", purge_step=step + 1)
        self.samples, self.members = samples, members[:SHOWN]
        self.truth_is_there = False

    def close(self) -> None:
        self.writer.close()

    def write(self, step: int, scalars: dict[str, float], network, device, config) -> None:
        """Record an epoch that ended with optimizer step number `step`."""
        for tag, value in scalars.items():
            self.writer.add_scalar(tag, value, step)
        draws = [SampleKey(position, 0, config.max_views) for position in self.members]
        images, voxels, positions = collate([self.samples[draw] for draw in draws])
        with torch.no_grad():
            logits = network.eval()(to_device(images, voxels, device)[0])
        predictions = torch.sigmoid(occupancy_logits(logits)).cpu().numpy() >= config.threshold
        for position, views, truth, prediction in zip(
            positions, images, voxels.numpy(), predictions, strict=True
        ):
            drawn = [np.asarray(draw_voxels(grid)) for grid in (truth, prediction)]
            name = self.samples.index.names[position]
            if not self.truth_is_there:
                self.writer.add_images(f"{name}/views", views, step)
                self._write_mesh(f"{name}/truth", truth.astype(bool), step)
            self.writer.add_image(
                f"{name}/truth and prediction", np.hstack(drawn), step, dataformats="HWC"
            )
            self._write_mesh(f"{name}/prediction", prediction, step)
        self.truth_is_there = True

    def write_categories(self, step: int, measured: dict) -> None:
        """Record the mean IoU of each category, of all views, in what `evaluate` measured."""
        ious = defaultdict(list)
        for position, iou in zip(measured["position"], measured["iou"][:, -1, 0], strict=True):
            ious[self.samples.index.category(position)].append(iou)
        for category, values in ious.items():
            self.writer.add_scalar(f"iou by category/{category}", np.mean(values), step)

    def _write_mesh(self, tag: str, occupied: np.ndarray, step: int) -> None:
        vertices, faces = voxels_to_mesh(occupied)
        if len(faces):  # TensorBoard takes no empty mesh
            colors = np.broadcast_to(np.uint8(COLOR), vertices.shape)
            mesh = {"vertices": vertices, "colors": colors, "faces": faces}
            batch = {name: torch.tensor(values[None]) for name, values in mesh.items()}
            self.writer.add_mesh(tag, **batch, global_step=step)

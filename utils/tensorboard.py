"""TensorBoard logs of a training."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from data.shapenet import SampleKey, ShapeNetDataset
from models.predictor import Predictor
from utils.draw import COLOR, draw_voxels
from utils.errors import InputError
from utils.results import printable
from utils.voxels import voxels_to_mesh

NUM_SHOWN = 4


class TensorBoardLogger:
    """A writer of scalars, and of predictions for the first few of `indices` in `dataset`.

    Args:
        folder (Path): The experiment's; logs go to its subfolder `tensorboard`.
        step (int): Optimizer steps done; logs of later ones are dropped.
        dataset (ShapeNetDataset): For evaluation.
        indices (list[int]): Of samples in the dataset.
    """

    def __init__(self, folder: Path, step: int, dataset: ShapeNetDataset, indices: list[int]):
        if printable(str(folder)) != str(folder):
            raise InputError(f"saved_models_path: TensorBoard needs a name in UTF-8, got {folder}")
        self.writer = SummaryWriter(folder / "tensorboard", purge_step=step + 1)
        self.dataset, self.indices = dataset, indices[:NUM_SHOWN]
        self.inputs_written = False

    def close(self) -> None:
        self.writer.close()

    def write(self, step: int, scalars: dict[str, float], network, device, config) -> None:
        """Log an epoch that ended with optimizer step `step`."""
        for tag, value in scalars.items():
            self.writer.add_scalar(printable(tag), value, step)
        predictor = Predictor(network, device, config.precision)
        for index in self.indices:
            views, target, _ = self.dataset[SampleKey(index, 0, config.max_views)]
            prediction = predictor.predict(views) >= config.threshold
            name = printable(self.dataset.index.names[index])
            if not self.inputs_written:
                self.writer.add_images(f"{name}/views", views, step, dataformats="NHWC")
                self._write_mesh(f"{name}/ground truth", target.astype(bool), step)
            drawn = np.hstack([np.asarray(draw_voxels(grid)) for grid in (target, prediction)])
            tag = f"{name}/ground truth and prediction"
            self.writer.add_image(tag, drawn, step, dataformats="HWC")
            self._write_mesh(f"{name}/prediction", prediction, step)
        self.inputs_written = True

    def _write_mesh(self, tag: str, occupied: np.ndarray, step: int) -> None:
        vertices, faces = voxels_to_mesh(occupied)
        if len(faces):  # TensorBoard refuses an empty mesh
            colors = np.broadcast_to(np.uint8(COLOR), vertices.shape)
            mesh = {"vertices": vertices, "colors": colors, "faces": faces}
            batch = {name: torch.tensor(values[None]) for name, values in mesh.items()}
            self.writer.add_mesh(tag, **batch, global_step=step)

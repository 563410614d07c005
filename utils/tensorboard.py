"""TensorBoard logs of a training."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from utils.draw import COLOR, draw_voxels
from utils.errors import InputError
from utils.results import printable
from utils.voxels import voxels_to_mesh

IMAGE_EPOCHS = 5  # epochs from one drawing to the next


class TensorBoardLogger:
    """A writer of scalars after each epoch, and of predictions for a few samples.

    Predictions are drawn after the first epoch, every five epochs, and the last one, which also
    writes meshes to rotate. A full disk must not end a training: after a warning, it goes on
    without logs.

    Args:
        folder (Path): The experiment's; logs go to its subfolder `tensorboard`.
        step (int): Optimizer steps done; logs of later ones are dropped.
        num_epochs (int): The last epoch.
        samples (list): The name of each sample, its views (V, S, S, 3) uint8 and its voxels
            (D, D, D) bool.
        predict (Callable): Maps a sample's views to the predicted voxels (D, D, D) bool.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        num_epochs: int,
        samples: list[tuple[str, np.ndarray, np.ndarray]],
        predict: Callable[[np.ndarray], np.ndarray],
    ):
        if printable(str(folder)) != str(folder):
            raise InputError(f"saved_models_path: TensorBoard needs a name in UTF-8, got {folder}")
        self.folder, self.purge_step = folder / "tensorboard", step + 1
        self.writer, self.failed = None, False
        self.usual_excepthook = threading.excepthook
        threading.excepthook = self._on_thread_error
        self.num_epochs, self.samples, self.predict = num_epochs, samples, predict
        self.inputs_written = False

    def close(self) -> None:
        if self.writer:
            self.writer.close()
        threading.excepthook = self.usual_excepthook

    def write(self, step: int, epoch: int, scalars: dict[str, float]) -> None:
        """Log an epoch, counted from 1, that ended with optimizer step `step`."""
        if self.failed:
            return
        try:
            if not self.writer:
                self.writer = SummaryWriter(self.folder, purge_step=self.purge_step)
            self._write(step, epoch, scalars)
            self.writer.flush()
        except OSError as error:
            self.writer, self.failed = None, True
            reason = f"{self.folder}: {error.strerror or error}"
            print(f"warning: {reason}; the training goes on without TensorBoard", file=sys.stderr)

    def _on_thread_error(self, args) -> None:
        """Print no traceback of an error of the writer's thread that `write` gets too."""
        if not issubclass(args.exc_type, OSError):
            self.usual_excepthook(args)

    def _write(self, step: int, epoch: int, scalars: dict[str, float]) -> None:
        for tag, value in scalars.items():
            self.writer.add_scalar(printable(tag), value, step)
        is_last = epoch >= self.num_epochs
        if is_last or epoch % IMAGE_EPOCHS == 1:
            for name, views, target in self.samples:
                self._write_sample(step, printable(name), views, target, mesh=is_last)
            self.inputs_written = True

    def _write_sample(self, step: int, name: str, views, target, *, mesh: bool) -> None:
        # TensorBoard sorts tags: these come after those of all scalars.
        if not self.inputs_written:
            self.writer.add_images(f"views/{name}", views, step, dataformats="NHWC")
        prediction = self.predict(views)
        drawn = np.hstack([np.asarray(draw_voxels(grid)) for grid in (target, prediction)])
        tag = f"voxels, ground truth and prediction/{name}"
        self.writer.add_image(tag, drawn, step, dataformats="HWC")
        if mesh:
            self._write_mesh(f"voxels, ground truth/{name}", target, step)
            self._write_mesh(f"voxels, prediction/{name}", prediction, step)

    def _write_mesh(self, tag: str, occupied: np.ndarray, step: int) -> None:
        vertices, faces = voxels_to_mesh(occupied)
        if len(faces):  # TensorBoard refuses an empty mesh
            colors = np.broadcast_to(np.uint8(COLOR), vertices.shape)
            mesh = {"vertices": vertices, "colors": colors, "faces": faces}
            batch = {name: torch.tensor(values[None]) for name, values in mesh.items()}
            self.writer.add_mesh(tag, **batch, global_step=step)

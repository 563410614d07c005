"""TensorBoard logs of a training."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from utils.draw import draw_voxels, image_grid
from utils.errors import InputError
from utils.results import printable

IMAGE_EPOCHS = 5  # epochs from one drawing to the next


class TensorBoardLogger:
    """A writer of scalars after each epoch, and of predictions for a few samples.

    Predictions are drawn after the first epoch, every five epochs, and the last one. A full disk
    must not end a training: after a warning, it goes on without logs.

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
        if epoch % IMAGE_EPOCHS == 1 or epoch >= self.num_epochs:
            for name, views, target in self.samples:
                # TensorBoard sorts tags: "voxels" comes after the names of all scalars.
                tag, drawn = f"voxels/{printable(name)}", self._draw_sample(views, target)
                self.writer.add_image(tag, np.asarray(drawn), step, dataformats="HWC")

    def _draw_sample(self, views: np.ndarray, target: np.ndarray) -> Image.Image:
        row = [(Image.fromarray(view), f"view {i}") for i, view in enumerate(views, start=1)]
        for caption, grid in (("ground truth", target), ("prediction", self.predict(views))):
            row.append((draw_voxels(grid, views.shape[1]), caption))
        return image_grid([row], gap=8, font_size=14)

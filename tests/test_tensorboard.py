import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from utils.tensorboard import TensorBoardLogger

NAME = "chair M" + b"\xf6".decode("utf-8", "surrogateescape")  # not UTF-8, as a file's name may be
TAG = "chair M\\udcf6"


def grid(seed, fraction=0.3):
    return np.random.default_rng(seed).random((16, 16, 16)) < fraction


def log_epochs(folder, epochs, num_epochs, predict=lambda views: grid(len(views))):
    """Log epochs of three steps each, and return the events."""
    views = np.full((2, 32, 32, 3), 200, np.uint8)
    samples = [(NAME, views, grid(0)), ("table a", views, grid(1))]
    logger = TensorBoardLogger(folder, 0, num_epochs, samples, predict)
    for epoch in epochs:
        logger.write(3 * epoch, epoch, {"samples_per_second": epoch, f"iou/{NAME}": 0.4})
    logger.close()
    return EventAccumulator(str(folder / "tensorboard")).Reload()


def test_scalars_are_logged_after_each_epoch(tmp_path):
    events = log_epochs(tmp_path, [1, 2], 10)
    assert [(e.step, e.value) for e in events.Scalars("samples_per_second")] == [(3, 1), (6, 2)]
    assert events.Scalars(f"iou/{TAG}")[0].value == pytest.approx(0.4)


def test_predictions_are_drawn_every_few_epochs_and_below_the_scalars(tmp_path):
    events = log_epochs(tmp_path, range(1, 13), 12)
    tags = events.Tags()
    assert tags["images"] == [f"voxels/{TAG}", "voxels/table a"]
    steps = [event.step for event in events.Images(f"voxels/{TAG}")]
    assert steps == [3, 18, 33, 36]  # epochs 1, 6, 11 and 12
    assert min(tags["images"]) > max(tags["scalars"])

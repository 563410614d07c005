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
    images = [tag for tag in tags["images"] if tag.endswith(TAG)]
    assert [[e.step for e in events.Images(tag)] for tag in sorted(images)] == [
        *([3], [3, 18, 33, 36])  # views once, voxels after epochs 1, 6, 11 and 12
    ]
    assert min(images) > max(tags["scalars"])
    meshes = [tag for tag in tags["tensors"] if tag.endswith("_VERTEX")]
    assert len(meshes) == 4 and {e.step for tag in meshes for e in events.Tensors(tag)} == {36}


def test_empty_prediction_is_logged(tmp_path):
    events = log_epochs(tmp_path, [1], 1, lambda _: np.zeros((16, 16, 16), bool))
    assert len(events.Tags()["images"]) == 4


def test_log_of_60_epochs_is_small(tmp_path):
    log_epochs(tmp_path, range(1, 61), 60, lambda _: grid(2, 0.5))
    files = list((tmp_path / "tensorboard").iterdir())
    assert sum(path.stat().st_size for path in files) < 30e6

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from utils.tensorboard import TensorBoardLogger

NAME = "chair M" + b"\xf6".decode("utf-8", "surrogateescape")  # not UTF-8, as a file's name may be
TAG = "chair M\\udcf6"


def grid(seed, fraction=0.3):
    return np.random.default_rng(seed).random((16, 16, 16)) < fraction


def test_scalars_of_each_epoch_stand_above_predictions_of_some(tmp_path):
    """Log epochs of three steps each."""
    views = np.full((2, 32, 32, 3), 200, np.uint8)
    samples = [(NAME, views, grid(0)), ("table a", views, grid(1))]
    logger = TensorBoardLogger(tmp_path, 0, 12, samples, lambda views: grid(len(views)))
    for epoch in range(1, 13):
        logger.write(3 * epoch, epoch, {"samples_per_second": epoch, f"iou/{NAME}": 0.4})
    logger.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    logged = [(event.step, event.value) for event in events.Scalars("samples_per_second")]
    assert logged == [(3 * epoch, epoch) for epoch in range(1, 13)]
    assert events.Scalars(f"iou/{TAG}")[0].value == pytest.approx(0.4)
    tags = events.Tags()
    assert tags["images"] == [f"voxels/{TAG}", "voxels/table a"]
    steps = [event.step for event in events.Images(f"voxels/{TAG}")]
    assert steps == [3, 18, 33, 36]  # epochs 1, 6, 11 and 12
    assert min(tags["images"]) > max(tags["scalars"])

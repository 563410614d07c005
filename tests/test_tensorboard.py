from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.shapenet import ShapeNetDataset, index_dataset
from models import build_network
from tests.helpers import make_dataset
from train import report_validation
from utils.tensorboard import TensorBoardLogger

CATEGORY = b"M\xf6bel".decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = make_dataset(tmp_path_factory.mktemp("dataset"), {CATEGORY: 1, "03001627": 5}, views=2)
    return ShapeNetDataset(index_dataset(root), 128, 0, training=False)


def log_epoch(folder, dataset, network, precision="fp32"):
    config = SimpleNamespace(precision=precision, max_views=2, threshold=0.4)
    logger = TensorBoardLogger(folder, 0, dataset, [5, 4, 3, 2, 1, 0])
    for step in (3, 6):
        ious = np.array([[[0.1], [0.2]], [[0.3], [0.6]], [[0.5], [0.8]]])
        evaluation = {"index": [0, 1, 5], "iou": ious, "loss": ious[..., 0]}
        _, of_categories = report_validation(evaluation, dataset.index)
        logger.write(step, {"loss/val": 0.5 / step} | of_categories, network, "cpu", config)
    logger.close()
    return EventAccumulator(str(folder / "tensorboard")).Reload()


def test_scalars_images_and_meshes_are_logged(tmp_path, dataset):
    torch.manual_seed(0)
    events = log_epoch(tmp_path, dataset, build_network("3D-LSTM-3", width=1 / 16))
    assert [(event.step, event.value) for event in events.Scalars("loss/val")] == [
        *((3, pytest.approx(1 / 6)), (6, pytest.approx(1 / 12)))
    ]
    assert events.Scalars("iou by category/chair")[0].value == pytest.approx(0.4)
    assert any(tag.startswith("iou by category/M") for tag in events.Tags()["scalars"])
    drawn = [tag for tag in events.Tags()["images"] if tag.endswith("ground truth and prediction")]
    assert len(drawn) == 4 and "03001627/model04/ground truth and prediction" in drawn
    assert [event.step for event in events.Images(drawn[0])] == [3, 6]
    assert [event.step for event in events.Images("03001627/model04/views")] == [3]
    assert [e.step for e in events.Tensors("03001627/model04/ground truth_VERTEX")] == [3]


def test_predictions_are_made_in_the_precision_of_the_training(tmp_path, dataset):
    network, dtypes = build_network("3D-LSTM-3", width=1 / 16), set()
    network.register_forward_hook(lambda _module, _inputs, logits: dtypes.add(logits.dtype))
    log_epoch(tmp_path, dataset, network, "bf16")
    assert dtypes == {torch.bfloat16}

import errno
import os
import sys

import pytest
import torch

from models import R2N2, checkpoint, load_network, save_network
from models.checkpoint import (
    Progress,
    check_same_batches,
    find_weights,
    load_checkpoint,
    restore,
    save_checkpoint,
)
from tests.helpers import assert_same
from utils.engine import NonFiniteError, make_optimizer
from utils.errors import InputError
from utils.files import experiment_lock


def trained():
    """Return a network and its optimizer after a step."""
    network = R2N2("3D-GRU-3", width=1 / 16)
    optimizer = make_optimizer(network, 0.1, 0.1)
    network(torch.rand(1, 1, 3, 128, 128)).mean().backward()
    optimizer.step()
    return network, optimizer


def test_checkpoint_restores_network_optimizer_scaler_and_progress(tmp_path):
    network, optimizer = trained()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    path = tmp_path / "checkpoint_epoch_00000003.pth"
    extra = {"metrics": {"val": {"iou": 0.5}}, "config": {"seed": 1}}
    progress = Progress(epoch=3, step=7, batches=2, totals=torch.tensor([1.0, 2.0, 3.0]))
    save_checkpoint(path, network, optimizer, scaler, progress, **extra)
    again, found = load_checkpoint(path)
    assert {key: found.content[key] for key in extra} == extra
    assert found.content["scaler"]["scale"] == 8.0
    other = make_optimizer(again, 0.2, 0.3)
    assert_same(vars(restore(found, other, scaler)), vars(progress))
    for a, b in zip(optimizer.state.values(), other.state.values(), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in ("step", "exp_avg", "exp_avg_sq"))
    assert [g["weight_decay"] for g in other.param_groups] == [0.3, 0.0]  # what was asked for
    load_network(path)
    with pytest.raises(InputError, match="init_weights"):
        save_network(tmp_path / "a.pth", network)
        load_checkpoint(tmp_path / "a.pth")


def test_find_weights_order(tmp_path):
    for epoch in (2, 10):
        checkpoint.checkpoint_path(tmp_path, epoch).touch()
    second, tenth = (checkpoint.checkpoint_path(tmp_path, epoch) for epoch in (2, 10))
    other = tmp_path / "other.pth"
    assert find_weights(tmp_path, "", 0) == tenth
    assert find_weights(tmp_path, "", "last") == tenth
    assert find_weights(tmp_path, "", 2) == second
    assert find_weights(tmp_path, str(other), 2) == other
    assert find_weights(tmp_path / "absent", str(tmp_path), 2) == second
    with pytest.raises(InputError, match=r"epoch 3; .*_00000010"):
        find_weights(tmp_path, "", 3)
    with pytest.raises(InputError, match=r"train\.py"):
        find_weights(tmp_path / "absent", "", 0)


@pytest.mark.parametrize("enabled", [True, False])
def test_precision_may_change_between_fp32_and_fp16(tmp_path, enabled):
    scalers = [torch.amp.GradScaler("cpu", enabled=e) for e in (not enabled, enabled)]
    save_checkpoint(tmp_path / "a.pth", *trained(), scalers[0], Progress(), config={})
    network, found = load_checkpoint(tmp_path / "a.pth")
    restore(found, make_optimizer(network, 0.1, 0.1), scalers[1])


def test_other_batches_are_noted_between_epochs_and_refused_within(capsys):
    options = dict.fromkeys(checkpoint.BATCH_OPTIONS)
    usual = {"config": options, "world_size": 1, "train_split": "a"}
    saved = checkpoint.Checkpoint("a.pth", usual)
    changed = {"config": options | {"seed": 1}, "world_size": 2, "train_split": "b"}
    for run, words in ((usual, []), (changed, ["was 1, is 2", "split"])):
        check_same_batches(saved, Progress(), **run)
        printed = capsys.readouterr().out
        assert bool(printed) == bool(words) and all(word in printed for word in words)
    check_same_batches(saved, Progress(batches=1), **usual)
    for name in usual:
        with pytest.raises(InputError, match=r"a\.pth: cannot resume within"):
            check_same_batches(saved, Progress(batches=1), **usual | {name: changed[name]})


@pytest.mark.parametrize("kind", ["weights", "exp_avg", "exp_avg_sq"])
def test_checkpoint_that_is_not_finite_is_not_written(tmp_path, kind):
    network, optimizer = trained()
    weight = network.encoder.fc.weight
    values = weight.data if kind == "weights" else optimizer.state[weight][kind]
    values[0, 0] = torch.inf
    scaler, path = torch.amp.GradScaler("cpu", enabled=False), tmp_path / "a.pth"
    with pytest.raises(NonFiniteError, match=rf"encoder\.fc\.weight has {kind}"):
        save_checkpoint(path, network, optimizer, scaler, Progress())
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="has another kind of lock")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_training_goes_on_with_a_warning_where_no_locks_exist(
    tmp_path, monkeypatch, capsys, recwarn, number
):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with experiment_lock(tmp_path / "a"):
        assert (tmp_path / "a").is_dir()
    assert "lock" in capsys.readouterr().err or recwarn

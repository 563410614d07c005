"""Trainings that are killed, stopped, or fail: exact resume and one-line errors."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from data.shapenet import SampleKey, ShapeNetDataset
from models.checkpoint import (
    INTERRUPTED,
    load_checkpoint,
)
from tests.helpers import ROOT, SMALL, assert_same, make_dataset
from utils import engine
from utils.distributed import Precision
from utils.errors import InputError, Interrupted
from utils.files import experiment_lock
from utils.metrics import voxel_loss
from utils.signals import catch_stop_signals, stop_at_once, stop_requested

resource = pytest.importorskip("resource", reason="needs the signals and limits of Unix")
pytestmark = pytest.mark.usefixtures("no_tensorboard")
EPOCHS = 4
FOLDER = Path("saved_models/3d-r2n2")


def checkpoint_of(folder: Path, epoch: int = EPOCHS) -> dict:
    path = folder / FOLDER / f"checkpoint_epoch_{epoch:08d}.pth"
    return torch.load(path, weights_only=True)


def assert_same_training(a: dict, b: dict):
    for key in a.keys() - {"config"}:
        assert_same(a[key], b[key])


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory) -> dict:
    """The last checkpoint of a training of 4 epochs, of 3 steps each, that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = subprocess.run(command(dataset), cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return checkpoint_of(folder)


def command(dataset: Path, *flags: str) -> list[str]:
    common = [*SMALL, f"--database_path={dataset}", f"--num_epochs={EPOCHS}"]
    return [sys.executable, str(ROOT / "train.py"), *common, *flags]


def test_killed_and_resumed_training_equals_uninterrupted_one(dataset, tmp_path, uninterrupted):
    rng, resume = np.random.default_rng(2), []
    for _ in range(2):
        process = subprocess.Popen(command(dataset, *resume), cwd=tmp_path, stdout=subprocess.PIPE)
        process.stdout.readline()  # the dataset's size: training begins
        time.sleep(rng.uniform(0.5, 1.5))
        process.kill()
        process.communicate()
        for path in (tmp_path / FOLDER).glob("*.pth"):
            load_checkpoint(path)
            resume = ["--resume_epoch=last"]
    subprocess.run(command(dataset, *resume), cwd=tmp_path, capture_output=True)
    assert_same_training(checkpoint_of(tmp_path), uninterrupted)
    assert not list((tmp_path / FOLDER).glob(".*"))


@pytest.mark.parametrize(
    ("number", "after"),
    [
        (signal.SIGINT, 1),
        (signal.SIGTERM, 5),
        (signal.SIGHUP, 6),  # the last step of the second epoch: its validation is next
    ],
)
def test_stop_signal_saves_between_steps_and_resumes_exactly(
    script, small, tmp_path, monkeypatch, uninterrupted, number, after
):
    steps, usual = [], Precision.step

    def step(*arguments):
        steps.append(1)
        if len(steps) == after:
            os.kill(os.getpid(), number)
        return usual(*arguments)

    monkeypatch.setattr(Precision, "step", step)
    flags = [*small, f"--num_epochs={EPOCHS}"]
    status = script("train", *flags)[0]
    assert status == 128 + number and len(steps) == after
    names = {path.name for path in (tmp_path / FOLDER).glob("*.pth")}
    epoch = (after - 1) // 3 + 1
    ends = {f"checkpoint_epoch_{done:08d}.pth" for done in range(1, epoch)}
    assert names == {*ends, INTERRUPTED}
    for name, value in (("batch_size", 3), ("seed", 1), ("max_views", 1)):
        changed = f"--{name}={value}"  # the objects or views done were others
        status, _, errors = script("train", *flags, "--resume_epoch=last", changed)
        assert status == 2 and name in errors
    status, _, errors = script("train", *flags, "--resume_epoch=last")
    assert not errors and status == 0
    assert_same_training(checkpoint_of(tmp_path), uninterrupted)
    assert not (tmp_path / FOLDER / INTERRUPTED).exists()


def test_full_disk_is_one_line_error_and_keeps_last_checkpoint(script, small, tmp_path):
    assert script("train", *small, "--num_epochs=1")[0] == 0
    path = tmp_path / FOLDER / "checkpoint_epoch_00000001.pth"
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        status, _, errors = script("train", *small, "--num_epochs=2", "--resume_epoch=last")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 2 and "checkpoint_epoch_00000002.pth" in errors and errors.count("\n") == 1
    assert path.read_bytes() == before
    assert {entry.name for entry in (tmp_path / FOLDER).iterdir()} == {path.name, "config.ini"}
    assert script("train", *small, "--num_epochs=2", "--resume_epoch=last")[0] == 0


@pytest.mark.parametrize("rate", ["1e25", "1e39"])
def test_non_finite_loss_names_batch_and_last_good_checkpoint(script, small, tmp_path, rate):
    flags = [*small, "--batch_size=20"]  # one step an epoch
    assert script("train", *flags, "--num_epochs=1")[0] == 0
    path = tmp_path / FOLDER / "checkpoint_epoch_00000001.pth"
    before = path.read_bytes()
    status, _, errors = script(
        "train", *flags, "--num_epochs=9", "--resume_epoch=1", f"--LR={rate}"
    )
    assert status == 2 and errors.count("\n") == 1 and "checkpoint_epoch_" in errors
    if rate == "1e39":  # infinite weights already: not a second checkpoint is written
        assert list((tmp_path / FOLDER).glob("*.pth")) == [path] and str(path.name) in errors
    else:
        assert "03001627/model00" in errors and "04379243/model00" in errors
    assert path.read_bytes() == before


@pytest.mark.parametrize("precision", ["fp32", "fp16"])  # fp16 leaves such a step out
def test_non_finite_loss_before_a_stop_signal_is_not_saved(
    script, small, tmp_path, monkeypatch, precision
):
    def not_a_number(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return torch.nan * voxel_loss(*arguments)

    monkeypatch.setattr(engine, "voxel_loss", not_a_number)
    status, _, errors = script("train", *small, f"--precision={precision}")
    assert status == 2 and "not finite; last good checkpoint: none" in errors
    assert errors.count("\n") == 1 and not list((tmp_path / FOLDER).glob("*.pth"))


NO_MEMORY = RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize(
    ("error", "num_workers", "epoch", "steps"),
    [
        (InputError("01.png: Input/output error"), 1, 2, 4),
        (NO_MEMORY, 0, 2, 4),
        (NO_MEMORY, 0, 0, 3),  # the samples to validate on have epoch 0
    ],
)
def test_error_within_an_epoch_loses_no_step(
    script, small, tmp_path, monkeypatch, uninterrupted, error, num_workers, epoch, steps
):
    usual, loaded = ShapeNetDataset.load_views, []

    def load_views(self, key: SampleKey):
        loaded.append(key.epoch)
        if loaded.count(1) and key.epoch == epoch and (not epoch or loaded.count(epoch) == 6):
            raise error
        return usual(self, key)

    flags = [*small, f"--num_epochs={EPOCHS}"]
    with monkeypatch.context() as patch:
        patch.setattr(ShapeNetDataset, "load_views", load_views)
        status, _, errors = script("train", *flags, f"--num_workers={num_workers}")
    assert status == 2 and errors.count("\n") == 1 and str(error) in errors
    assert torch.load(tmp_path / FOLDER / INTERRUPTED, weights_only=True)["step"] == steps
    assert script("train", *flags, "--resume_epoch=last")[0] == 0
    assert_same_training(checkpoint_of(tmp_path), uninterrupted)


def test_epoch_is_not_continued_with_other_shapes(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = make_dataset(tmp_path / "data", {"a": 10}, views=2)
    flags = [*SMALL, f"--database_path={root}", "--num_epochs=2"]
    with monkeypatch.context() as patch:
        patch.setattr(engine, "compute_metrics", None)  # an error in the first validation
        with pytest.raises(TypeError):
            script("train", *flags)
    for folder in root.glob("*/a/model03"):
        folder.rename(folder.with_name("model03b"))
    status, _, errors = script("train", *flags, "--resume_epoch=last")
    assert status == 2 and "the dataset or its split changed" in errors


def test_second_training_in_a_folder_is_refused(script, small, tmp_path):
    with experiment_lock(tmp_path / FOLDER):
        status, _, errors = script("train", *small, "--num_epochs=1")
    assert status == 2 and str(FOLDER) in errors and errors.count("\n") == 1
    assert script("train", *small, "--num_epochs=1")[0] == 0
    assert not (tmp_path / FOLDER / "training.lock").exists()


def test_repeated_stop_signals_are_one_which_is_told_at_once(capfd):
    with catch_stop_signals():
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert stop_requested() == signal.SIGTERM
        assert capfd.readouterr().out.count("\n") == 2  # the first newline ends a progress bar
        with pytest.raises(Interrupted), stop_at_once():
            pass


def test_ignored_signals_stay_ignored():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as by a shell for `train.py &`
    try:
        with catch_stop_signals(), stop_at_once():
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop_requested()
    finally:
        signal.signal(signal.SIGINT, usual)


def test_same_training_writes_same_bytes(script, dataset, tmp_path, monkeypatch):
    contents = []
    for name in "ab":
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert script("train", *SMALL, f"--database_path={dataset}", "--num_epochs=1")[0] == 0
        contents.append((FOLDER / "checkpoint_epoch_00000001.pth").read_bytes())
    assert contents[0] == contents[1]

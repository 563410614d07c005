"""Trainings that are killed, stopped, or fail: exact resume and one-line errors."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from data.shapenet import SampleKey, ShapeNetDataset
from models.checkpoint import INTERRUPTED, checkpoint_path, load_checkpoint
from tests.helpers import EXPERIMENT, ROOT, SMALL, assert_same, make_dataset, read_checkpoint
from utils import engine
from utils.distributed import Precision
from utils.errors import InputError, Interrupted
from utils.files import experiment_lock
from utils.metrics import voxel_loss
from utils.signals import catch_stop_signals, stop_at_once, stop_requested

resource = pytest.importorskip("resource", reason="needs the signals and limits of Unix")
pytestmark = pytest.mark.usefixtures("no_tensorboard")
EPOCHS = 4


def assert_same_training(a: dict, b: dict):
    for key in a.keys() - {"config"}:
        assert_same(a[key], b[key])


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory) -> dict:
    """The last checkpoint of a training of 4 epochs, of 3 steps each, that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    subprocess.run(command(dataset), cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return read_checkpoint(EPOCHS, folder / EXPERIMENT)


def command(dataset: Path, *flags: str) -> list[str]:
    common = [*SMALL, f"--database_path={dataset}", f"--num_epochs={EPOCHS}"]
    return [sys.executable, str(ROOT / "train.py"), *common, *flags]


def test_killed_and_resumed_training_equals_uninterrupted_one(dataset, uninterrupted):
    rng, resume = np.random.default_rng(2), []
    for _ in range(2):
        process = subprocess.Popen(command(dataset, *resume), stdout=subprocess.PIPE)
        process.stdout.readline()  # the dataset's size: training begins
        time.sleep(rng.uniform(0.5, 1.5))
        process.kill()
        process.communicate()
        for path in EXPERIMENT.glob("*.pth"):
            load_checkpoint(path)
            resume = ["--resume_epoch=last"]
    subprocess.run(command(dataset, *resume), stdout=subprocess.DEVNULL, check=True)
    assert_same_training(read_checkpoint(EPOCHS), uninterrupted)
    assert not list(EXPERIMENT.glob(".*"))


def test_training_in_three_parts_equals_uninterrupted_one(output_of, small, uninterrupted):
    output_of("train", *small, "--num_epochs=1")
    output_of("train", *small, "--num_epochs=2", "--resume_epoch=1", "--num_workers=2")
    output_of("train", *small, f"--num_epochs={EPOCHS}", "--resume_epoch=last")
    assert_same_training(read_checkpoint(EPOCHS), uninterrupted)


@pytest.mark.parametrize(
    ("number", "after"),
    [
        (signal.SIGINT, 1),
        (signal.SIGTERM, 5),
        (signal.SIGHUP, 6),  # the last step of the second epoch: its validation is next
    ],
)
def test_stop_signal_saves_between_steps_and_resumes_exactly(
    script, output_of, error_of, small, monkeypatch, uninterrupted, number, after
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
    ends = {checkpoint_path(EXPERIMENT, done) for done in range(1, (after - 1) // 3 + 1)}
    assert {*EXPERIMENT.glob("*.pth")} == {*ends, EXPERIMENT / INTERRUPTED}
    flags.append("--resume_epoch=last")
    for name, value in (("batch_size", 3), ("seed", 1), ("max_views", 1)):
        # the objects or views done were others
        assert name in error_of("train", *flags, f"--{name}={value}")
    output_of("train", *flags)
    assert_same_training(read_checkpoint(EPOCHS), uninterrupted)
    assert not (EXPERIMENT / INTERRUPTED).exists()


def test_full_disk_is_one_line_error_and_keeps_last_checkpoint(output_of, error_of, small):
    output_of("train", *small, "--num_epochs=1")
    path = checkpoint_path(EXPERIMENT, 1)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    command = ["train", *small, "--num_epochs=2", "--resume_epoch=last"]
    try:
        assert "checkpoint_epoch_00000002.pth" in error_of(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert {entry.name for entry in EXPERIMENT.iterdir()} == {path.name, "config.ini"}
    output_of(*command)


@pytest.mark.parametrize("rate", ["1e25", "1e39"])
def test_non_finite_loss_names_batch_and_last_good_checkpoint(output_of, error_of, small, rate):
    flags = [*small, "--batch_size=20"]  # one step an epoch
    output_of("train", *flags, "--num_epochs=1")
    path = checkpoint_path(EXPERIMENT, 1)
    before = path.read_bytes()
    error = error_of("train", *flags, "--num_epochs=9", "--resume_epoch=1", f"--LR={rate}")
    assert "checkpoint_epoch_" in error
    if rate == "1e39":  # infinite weights already: not a second checkpoint is written
        assert list(EXPERIMENT.glob("*.pth")) == [path] and path.name in error
    else:
        assert "03001627/model00" in error and "04379243/model00" in error
    assert path.read_bytes() == before


@pytest.mark.parametrize("precision", ["fp32", "fp16"])  # fp16 leaves such a step out
def test_non_finite_loss_before_a_stop_signal_is_not_saved(error_of, small, monkeypatch, precision):
    def not_a_number(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return torch.nan * voxel_loss(*arguments)

    monkeypatch.setattr(engine, "voxel_loss", not_a_number)
    error = error_of("train", *small, f"--precision={precision}")
    assert "not finite; last good checkpoint: none" in error
    assert not list(EXPERIMENT.glob("*.pth"))


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
    output_of, error_of, small, monkeypatch, uninterrupted, error, num_workers, epoch, steps
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
        assert str(error) in error_of("train", *flags, f"--num_workers={num_workers}")
    assert torch.load(EXPERIMENT / INTERRUPTED, weights_only=True)["step"] == steps
    output_of("train", *flags, "--resume_epoch=last")
    assert_same_training(read_checkpoint(EPOCHS), uninterrupted)


def test_epoch_is_not_continued_with_other_shapes(script, error_of, tmp_path, monkeypatch):
    root = make_dataset(tmp_path / "data", {"a": 10}, views=2)
    flags = [*SMALL, f"--database_path={root}", "--num_epochs=2"]
    with monkeypatch.context() as patch:
        patch.setattr(engine, "compute_metrics", None)  # an error in the first validation
        with pytest.raises(TypeError):
            script("train", *flags)
    for folder in root.glob("*/a/model03"):
        folder.rename(folder.with_name("model03b"))
    error = error_of("train", *flags, "--resume_epoch=last")
    assert "the dataset or its split changed" in error


def test_second_training_in_a_folder_is_refused(output_of, error_of, small):
    command = ["train", *small, "--num_epochs=1"]
    with experiment_lock(EXPERIMENT):
        assert str(EXPERIMENT) in error_of(*command)
    output_of(*command)
    assert not (EXPERIMENT / "training.lock").exists()


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


def test_same_training_writes_same_bytes(output_of, small):
    contents = []
    for _ in range(2):
        output_of("train", *small, "--num_epochs=1")
        contents.append(checkpoint_path(EXPERIMENT, 1).read_bytes())
        shutil.rmtree(EXPERIMENT)
    assert contents[0] == contents[1]

"""The three scripts, run as from a shell."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models import load_network, save_network
from models.checkpoint import INTERRUPTED, checkpoint_path
from models.predictor import Predictor
from tests.helpers import DEMO_IMAGES, EXPERIMENT, ROOT, read_checkpoint, small_network
from utils import distributed
from utils.config import read_ini
from utils.voxels import read_binvox


def test_train_test_and_demo_run_in_sequence(output_of, small, dataset):
    output_of("train", *small, "--num_epochs=2")
    names = {path.name for path in EXPERIMENT.iterdir()}
    assert names == {"config.ini", *(f"checkpoint_epoch_{epoch:08d}.pth" for epoch in (1, 2))}
    assert f"database_path = {dataset}" in (EXPERIMENT / "config.ini").read_text()

    output = output_of("test", *small[1:], "--split=all")
    assert "chair" in output and "table" in output
    folder = EXPERIMENT / "all-checkpoint_epoch_00000002"
    results = json.loads((folder / "result.json").read_text())
    assert results["num_samples"] == 15 and results["num_views"] == 2
    assert results["weights"].endswith("checkpoint_epoch_00000002.pth")
    names = {path.name for path in folder.iterdir()}
    assert names == {"result.json", "result.md", "per_sample.csv"}

    output = output_of("demo", "--device=cpu", "--resume_epoch=last", "--output=out/a.obj")
    assert "a.obj" in output and {path.name for path in Path("out").iterdir()} == {"a.obj", "a.png"}
    output = output_of("demo", "--experiment_name=3d-r2n2", "--output=a.npy")
    assert "checkpoint_epoch_00000002.pth" in output
    probability = np.load("a.npy")
    assert probability.shape == (32, 32, 32) and 0 <= probability.min() <= probability.max() <= 1


def test_bundled_weights_reconstruct_a_chair_from_the_demo_images(script):
    assert script("demo", "--output=a.npy")[0] == 0
    x, y, _ = np.nonzero(np.load("a.npy") >= 0.4)
    upper = y > (y.min() + y.max()) / 2
    assert 500 < len(x) < 5000  # of 32,768
    assert x[upper].mean() < x[~upper].mean() - 2  # a back, behind the seat


def test_demo_averages_with_the_mirrored_views_if_asked(output_of):
    save_network("w.pth", small_network())
    output_of("demo", "--weights=w.pth", "--device=cpu", "--mirror", "--output=a.npy")
    expected = Predictor("w.pth", mirror=True)(DEMO_IMAGES)
    assert np.allclose(np.load("a.npy"), expected, atol=1e-6)


def test_demo_writes_smooth_surfaces_and_a_page(output_of, error_of):
    save_network("w.pth", small_network())
    flags = ["--weights=w.pth", "--device=cpu", "--threshold=0.5", "--html"]
    output_of("demo", *flags, "--output=cubes.ply")
    output_of("demo", *flags, "--output=smooth.ply", "--smooth")
    cubes, smooth = (trimesh.load(f"{name}.ply") for name in ("cubes", "smooth"))
    assert not np.modf(cubes.vertices * 128)[0].any() and np.modf(smooth.vertices * 128)[0].any()
    assert Path("cubes.png").read_bytes() != Path("smooth.png").read_bytes()
    assert Path("smooth.html").exists()
    error = error_of("demo", *flags, "--output=a.npy", "--smooth")
    assert "a.npy" in error and ".ply" in error


def test_demo_reconstructs_each_object_of_a_folder(script, output_of, error_of):
    save_network("w.pth", small_network())
    for path in ("in/two/a.png", "in/two/b.png", "in/one.png", "in/one.bmp", "in/notes.txt"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DEMO_IMAGES[0], path)
    flags = ["--each=in", "--weights=w.pth", "--device=cpu"]
    assert "notes.txt: not used" in output_of("demo", *flags, "--output=predictions/{}.npy")
    names = {path.name for path in Path("predictions").glob("*.npy")}
    assert names == {"one.npy", "one-png.npy", "two.npy"}
    Path("in/bad.png").write_bytes(b"x")
    status, _, errors = script("demo", *flags, "--output=again/{}.npy")
    assert status == 2 and "in/bad.png" in errors
    assert len(list(Path("again").glob("*.npy"))) == 3  # the others
    for mistake in ("--output=in/{}.obj", "--output=in/{}/a.obj", "in/one.png"):
        error_of("demo", *flags, mistake)


def test_evaluation_keeps_to_the_options_of_the_training_unless_others_are_given(output_of, small):
    training = ["--categories=chair", "--val_fraction=0.5", "--threshold=0.3"]
    output_of("train", *small, "--num_epochs=1", *training)
    assert load_network(checkpoint_path(EXPERIMENT, 1)).threshold == 0.3
    given = [small[-1], "--val_fraction=0.25", "--threshold=0.45"]
    for flags, expected in (([], (4, 0.3)), (given, (2, 0.45))):
        output_of("test", *small[1:-1], "--split=val", *flags)
        found = [json.loads(path.read_text()) for path in Path().rglob("result.json")]
        assert expected in [(results["num_samples"], results["threshold"]) for results in found]


def test_demo_uses_the_threshold_of_the_weights_unless_one_is_given(script):
    network = small_network()
    network.threshold = 1.0
    save_network("w.pth", network)
    flags = ["--weights=w.pth", "--device=cpu", "--output=a.binvox"]
    for given, empty in (([], True), (["--threshold=0.001"], False)):
        status, _, errors = script("demo", *flags, *given)
        assert status == 0 and ("warning" in errors and "--threshold" in errors) == empty
        assert (not read_binvox("a.binvox").any()) == empty


def test_every_training_option_changes_the_training(output_of, small):
    changes = "seed=1 LR=0.01 weight_decay=0.1 batch_size=5 min_views=2 augmentation=strong"
    changes += " lr_schedule=cosine lr_schedule=constant warmup_steps=5"
    weights = {}
    for name in ("usual", *changes.split()):
        flags = ["--num_epochs=1", "--val_fraction=0", f"--experiment_name={name}"]
        output_of("train", *small, *flags, *([f"--{name}"] if "=" in name else []))
        weights[name] = read_checkpoint(1, EXPERIMENT.with_name(name))["weights"]
    for name in changes.split():
        usual, changed = weights["usual"], weights[name]
        assert any(not torch.equal(usual[key], changed[key]) for key in usual), name


def test_resuming_keeps_unset_options_and_prints_changed_ones(output_of, error_of, small):
    output_of("train", *small, *"--num_epochs=1 --LR=0.01 --seed=3".split())
    flags = [small[-1], "--num_workers=0", "--device=cpu", "--resume_epoch=last"]
    output = output_of("train", *flags, "--num_epochs=2", "--weight_decay=0.1")
    assert "num_epochs: 1 -> 2" in output and "weight_decay: 5e-05 -> 0.1" in output
    assert "LR:" not in output and "batch_size:" not in output
    error = error_of("train", *flags, "--num_epochs=3", "--min_views=3")
    assert "min_views: 3 is more than max_views, 2" in error
    options = read_ini(EXPERIMENT / "config.ini")
    kept = {"LR": 0.01, "seed": 3, "batch_size": 4, "width": 0.0625, "weight_decay": 0.1}
    assert options.items() >= kept.items()


def test_resuming_keeps_the_precision_that_auto_became(output_of, small, monkeypatch):
    flags = [*small, "--precision=auto"]
    for epoch, is_bf16_faster in ((1, True), (2, False)):
        monkeypatch.setattr(distributed, "is_bf16_faster", lambda _, faster=is_bf16_faster: faster)
        resume = f"--resume_epoch={epoch - 1}"
        output = output_of("train", *flags, f"--num_epochs={epoch}", resume)
        assert ("precision = bf16 (auto)" in output) == (epoch == 1)
        assert read_checkpoint(epoch, EXPERIMENT)["config"]["precision"] == "bf16"


def test_checkpoints_are_not_overwritten(output_of, error_of, small):
    output_of("train", *small, "--num_epochs=2")
    for flags, named in (
        (["--num_epochs=1"], "--resume_epoch=last"),
        (["--num_epochs=2", "--resume_epoch=2"], "num_epochs"),
        (["--num_epochs=3", "--resume_epoch=2", "--width=1"], "width"),
    ):
        assert named in error_of("train", *small, *flags)
    second, interrupted = checkpoint_path(EXPERIMENT, 2), EXPERIMENT / INTERRUPTED
    flags = ["--num_epochs=3", "--resume_epoch=1"]
    assert second.name in error_of("train", *small, *flags)
    second.rename(interrupted)
    assert interrupted.name in error_of("train", *small, *flags)
    interrupted.unlink()
    output_of("train", *small, *flags)
    assert checkpoint_path(EXPERIMENT, 3).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch, about its own parts
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler, g++")
def test_compiled_network_trains_to_nearly_the_same_weights(script, small):
    for name, flags in (("usual", []), ("compiled", ["--compile"])):
        command = ["train", *small, "--num_epochs=1", f"--experiment_name={name}", *flags]
        assert script(*command)[0] == 0
    usual, compiled = (
        read_checkpoint(1, EXPERIMENT.with_name(name))["weights"] for name in ("usual", "compiled")
    )
    assert usual.keys() == compiled.keys()
    for key, value in usual.items():
        assert torch.allclose(value, compiled[key], atol=1e-4), key


@pytest.mark.parametrize(
    "network", ["3D-GRU-1", pytest.param("Res3D-GRU-3", marks=pytest.mark.slow)]
)
def test_other_networks_train_resume_test_and_demo_alike(output_of, small, network):
    layout = [f"--network={network}", "--max_views=1", "--variant=theano"]
    output_of("train", *small, *layout, "--num_epochs=1")
    output_of("train", *small, *layout, "--num_epochs=2", "--resume_epoch=last")
    assert "chair" in output_of("test", *small[1:])  # the checkpoint knows its network
    assert network in output_of("demo", "--resume_epoch=2")


def test_init_weights_starts_from_another_checkpoint(output_of, error_of, small):
    output_of("train", *small, "--num_epochs=1")
    path = checkpoint_path(EXPERIMENT, 1)
    torch.save(torch.load(path) | {"threshold": 0.3}, path)
    flags = [f"--init_weights={path}", "--experiment_name=next", "--num_epochs=1", "--LR=1e-9"]
    output_of("train", *small, *flags)
    first, after = (
        load_network(str(path).replace("3d-r2n2", name)) for name in ("3d-r2n2", "next")
    )
    assert after.threshold == 0.4
    for key, value in after.state_dict().items():
        assert torch.allclose(value, first.state_dict()[key], atol=1e-6), key
    error = error_of("train", *small, *flags[:1], "--width=0.125", "--experiment_name=no")
    assert "checkpoint_epoch_00000001.pth: these weights have width" in error
    resume = ["--resume_epoch=last", "--num_epochs=2"]
    output_of("train", *small, *flags[:2], *resume)  # the weights that it began with
    assert "init_weights" in error_of("train", *small, flags[0], *resume)


def test_training_from_a_shell_logs_to_tensorboard_without_warnings(small):
    command = [sys.executable, "-W", "error", str(ROOT / "train.py"), *small, "--num_epochs=2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    events = EventAccumulator(str(EXPERIMENT / "tensorboard")).Reload()
    splits = ("train", "val", "val_1_views")
    scalars = {f"{name}/{split}" for name in ("loss", "iou") for split in splits}
    of_categories = [f"iou by category/{name}" for name in ("chair", "table")]
    rates = {"learning_rate", "samples_per_second"}
    assert {*scalars, *of_categories, *rates} == set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss/val")] == [3, 6]
    by_category = [events.Scalars(tag)[-1].value for tag in of_categories]
    assert np.mean(by_category) == pytest.approx(events.Scalars("iou/val")[-1].value, abs=1e-6)
    assert [event.step for event in events.Images("voxels/chair model07")] == [3, 6]

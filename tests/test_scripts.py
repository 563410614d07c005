"""The three scripts, run as from a shell."""

import csv
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

from models import R2N2, load_network, save_network
from models.checkpoint import INTERRUPTED, checkpoint_path
from models.weights import network_state, write_torch
from tests.helpers import ROOT, assert_same
from utils.config import read_ini
from utils.distributed import has_bf16
from utils.voxels import read_binvox


def test_train_test_and_demo_run_in_sequence(script, small, tmp_path, dataset):
    status, output, errors = script("train", *small, "--num_epochs=2")
    assert (status, errors) == (0, "")
    folder = tmp_path / "saved_models" / "3d-r2n2"
    names = {path.name for path in folder.iterdir()}
    checkpoints = {f"checkpoint_epoch_{epoch:08d}.pth" for epoch in (1, 2)}
    assert names == {"config.ini", "tensorboard", *checkpoints}
    assert f"database_path = {dataset}" in (folder / "config.ini").read_text()
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = events.Tags()
    splits = ("train", "val", "val_1_views")
    scalars = {f"{name}/{split}" for name in ("loss", "iou") for split in splits}
    of_categories = {f"iou by category/{name}" for name in ("chair", "table")}
    rates = {"learning_rate", "samples_per_second"}
    assert {*scalars, *of_categories, *rates} == set(tags["scalars"])
    assert [event.step for event in events.Scalars("loss/val")] == [3, 6]
    by_category = [events.Scalars(tag)[-1].value for tag in sorted(of_categories)]
    assert np.mean(by_category) == pytest.approx(events.Scalars("iou/val")[-1].value, abs=1e-6)
    assert [event.step for event in events.Images("voxels/chair model07")] == [3, 6]

    status, output, errors = script("test", *small[1:], "--split=all")
    assert (status, errors) == (0, "") and "chair" in output and "table" in output
    folder = folder / "all-checkpoint_epoch_00000002"
    results = json.loads((folder / "result.json").read_text())
    with open(folder / "per_sample.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == results["num_samples"] == 15 and results["num_views"] == 2
    assert results["weights"].endswith("checkpoint_epoch_00000002.pth")
    ious = [float(row["iou_2_views"]) for row in rows if row["sample"].startswith("03001627")]
    assert results["categories"]["chair"]["iou"][-1] == pytest.approx(np.mean(ious), abs=1e-6)
    names = {path.name for path in folder.iterdir()}
    assert names == {"result.json", "result.md", "per_sample.csv"}

    for form in ("obj", "ply", "glb", "stl", "binvox", "npy"):
        flags = ["--device=cpu", "--resume_epoch=last", f"--output=out/a.{form}"]
        status, output, errors = script("demo", *flags)
        assert (status, errors) == (0, "") and f"a.{form}" in output
        assert {path.name for path in Path("out").iterdir()} == {f"a.{form}", "a.png"}
        shutil.rmtree("out")
    output = script("demo", "--experiment_name=3d-r2n2", "--output=a.npy")[1]
    assert "checkpoint_epoch_00000002.pth" in output
    probability = np.load("a.npy")
    assert probability.shape == (32, 32, 32) and 0 <= probability.min() <= probability.max() <= 1


def test_bundled_weights_reconstruct_a_chair_from_the_demo_images(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert script("demo", "--output=a.npy")[0] == 0
    x, y, _ = np.nonzero(np.load("a.npy") >= 0.4)
    upper = y > (y.min() + y.max()) / 2
    assert 500 < len(x) < 5000  # of 32,768
    assert x[upper].mean() < x[~upper].mean() - 2  # a back, behind the seat


def write_weights(path: Path, width: float = 1 / 16):
    torch.manual_seed(0)
    write_torch(path, network_state(R2N2("3D-LSTM-3", width=width)))


def test_demo_writes_smooth_surfaces_and_a_page(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_weights(Path("w.pth"))
    flags = ["--weights=w.pth", "--device=cpu", "--threshold=0.5", "--html"]
    assert script("demo", *flags, "--output=cubes.ply")[0] == 0
    assert script("demo", *flags, "--output=smooth.ply", "--smooth")[0] == 0
    cubes, smooth = (trimesh.load(f"{name}.ply") for name in ("cubes", "smooth"))
    assert cubes.is_watertight and smooth.is_watertight and smooth.volume > 0
    corners = np.modf(cubes.vertices * 128)[0]
    assert not corners.any() and np.modf(smooth.vertices * 128)[0].any()
    assert Path("cubes.png").read_bytes() != Path("smooth.png").read_bytes()
    text = Path("smooth.html").read_text("utf-8")
    assert text.count("<canvas data-size") == text.count("<img") == 3
    status, _, errors = script("demo", *flags, "--output=a.npy", "--smooth")
    assert status == 2 and "a.npy" in errors and ".ply" in errors


def test_demo_reconstructs_each_object_of_a_folder(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_weights(Path("w.pth"))
    for path in ("in/two/a.png", "in/two/b.png", "in/one.png", "in/one.bmp", "in/notes.txt"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "data" / "demo" / "0.png", path)
    flags = ["--each=in", "--weights=w.pth", "--device=cpu"]
    status, output, errors = script("demo", *flags, "--output=predictions/{}.npy")
    assert (status, errors) == (0, "") and "notes.txt: not used" in output
    names = {path.name for path in Path("predictions").glob("*.npy")}
    assert names == {"one.npy", "one-png.npy", "two.npy"}
    Path("in/bad.png").write_bytes(b"x")
    status, _, errors = script("demo", *flags, "--output=again/{}.npy")
    assert status == 2 and "in/bad.png" in errors
    assert len(list(Path("again").glob("*.npy"))) == 3  # the others
    for output in ("in/{}.obj", "in/{}/a.obj"):
        assert script("demo", *flags, f"--output={output}")[0] == 2
    assert script("demo", *flags, "in/one.png")[0] == 2


@pytest.mark.usefixtures("no_tensorboard")
def test_evaluation_keeps_to_the_training_dataset_and_split(script, small, tmp_path):
    assert (
        script("train", *small, "--num_epochs=1", "--categories=chair", "--val_fraction=0.5")[0]
        == 0
    )
    for flags, expected in (([], 4), ([small[-1], "--val_fraction=0.25"], 2)):
        status, _, errors = script("test", *small[1:-1], "--split=val", *flags)
        assert (status, errors) == (0, "")
        found = tmp_path.rglob("result.json")
        assert expected in [json.loads(path.read_text())["num_samples"] for path in found]


@pytest.mark.usefixtures("no_tensorboard")
def test_threshold_of_a_training_is_that_of_its_evaluation(script, small, tmp_path):
    assert script("train", *small, "--num_epochs=1", "--threshold=0.3")[0] == 0
    folder = tmp_path / "saved_models" / "3d-r2n2"
    assert load_network(checkpoint_path(folder, 1)).threshold == 0.3
    for flags, expected in (([], 0.3), (["--threshold=0.45"], 0.45)):
        assert script("test", *small[1:], "--split=all", *flags)[0] == 0
        results = (folder / "all-checkpoint_epoch_00000001").parent.rglob("result.json")
        found = {json.loads(path.read_text())["threshold"] for path in results}
        assert expected in found


def test_demo_uses_the_threshold_of_the_weights_unless_one_is_given(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = R2N2("3D-LSTM-3", width=1 / 16)
    network.threshold = 1.0
    save_network("w.pth", network)
    flags = ["--weights=w.pth", "--device=cpu", "--output=a.binvox"]
    for given, empty in (([], True), (["--threshold=0.001"], False)):
        status, _, errors = script("demo", *flags, *given)
        assert status == 0 and ("warning" in errors and "--threshold" in errors) == empty
        assert (not read_binvox("a.binvox").any()) == empty


@pytest.mark.usefixtures("no_tensorboard")
def test_resumed_training_equals_uninterrupted_one(script, small, tmp_path):
    keys = [*small, "--saved_models_path=once"]
    assert script("train", *keys, "--num_epochs=3")[0] == 0
    keys = [*small, "--saved_models_path=twice"]
    assert script("train", *keys, "--num_epochs=1")[0] == 0
    assert script("train", *keys, "--num_epochs=2", "--resume_epoch=1", "--num_workers=2")[0] == 0
    assert script("train", *keys, "--num_epochs=3", "--resume_epoch=last")[0] == 0
    path = "3d-r2n2/checkpoint_epoch_00000003.pth"
    once, twice = (
        torch.load(tmp_path / run / path, weights_only=True) for run in ("once", "twice")
    )
    for key in ("weights", "optimizer", "epoch", "step", "totals"):
        assert_same(once[key], twice[key])
    for part in ("train", "val"):
        for name in ("loss", "iou"):
            assert once["metrics"][part][name] == twice["metrics"][part][name]


@pytest.mark.usefixtures("no_tensorboard")
def test_every_training_option_changes_the_training(script, small, tmp_path):
    changes = "seed=1 LR=0.01 weight_decay=0.1 batch_size=5 min_views=2 augmentation=strong"
    changes += " lr_schedule=cosine lr_schedule=constant warmup_steps=5"
    weights = {}
    for name in ("usual", *changes.split()):
        flags = ["--num_epochs=1", "--val_fraction=0", f"--experiment_name={name}"]
        flags += [f"--{name}"] if "=" in name else []
        assert script("train", *small, *flags)[0] == 0
        path = tmp_path / "saved_models" / name / "checkpoint_epoch_00000001.pth"
        weights[name] = torch.load(path, weights_only=True)["weights"]
    for name in changes.split():
        usual, changed = weights["usual"], weights[name]
        assert any(not torch.equal(usual[key], changed[key]) for key in usual), name


@pytest.mark.usefixtures("no_tensorboard")
def test_resuming_keeps_unset_options_and_prints_changed_ones(script, small, tmp_path):
    first = "--num_epochs=1 --LR=0.01 --seed=3 --precision=auto".split()
    assert script("train", *small, *first)[0] == 0
    flags = [small[-1], "--num_workers=0", "--device=cpu", "--resume_epoch=last"]
    status, output, _ = script("train", *flags, "--num_epochs=2", "--weight_decay=0.1")
    assert status == 0 and "num_epochs: 1 -> 2" in output and "weight_decay: 5e-05 -> 0.1" in output
    assert "LR:" not in output and "batch_size:" not in output
    status, _, errors = script("train", *flags, "--num_epochs=3", "--min_views=3")
    assert status == 2 and "min_views: 3 is more than max_views, 2" in errors
    options = read_ini(tmp_path / "saved_models" / "3d-r2n2" / "config.ini")
    kept = {"precision": "bf16" if has_bf16(torch.device("cpu")) else "fp32"}
    kept |= {"LR": 0.01, "seed": 3, "batch_size": 4, "width": 0.0625, "weight_decay": 0.1}
    assert options.items() >= kept.items()


@pytest.mark.usefixtures("no_tensorboard")
def test_resuming_from_an_epoch_that_others_follow_is_refused(script, small, tmp_path):
    assert script("train", *small, "--num_epochs=2")[0] == 0
    folder = tmp_path / "saved_models" / "3d-r2n2"
    flags = ["--num_epochs=3", "--resume_epoch=1"]
    second, interrupted = checkpoint_path(folder, 2), folder / INTERRUPTED
    status, _, errors = script("train", *small, *flags)
    assert status == 2 and second.name in errors
    second.rename(interrupted)
    status, _, errors = script("train", *small, *flags)
    assert status == 2 and interrupted.name in errors
    interrupted.unlink()
    assert script("train", *small, *flags)[0] == 0
    assert checkpoint_path(folder, 3).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch, about its own parts
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler, g++")
def test_compiled_network_trains_to_nearly_the_same_weights(script, small, tmp_path):
    keys = [*small, "--num_epochs=1"]
    for name, flags in (("usual", []), ("compiled", ["--compile"])):
        assert script("train", *keys, f"--experiment_name={name}", *flags)[0] == 0
    paths = [
        tmp_path / "saved_models" / name / "checkpoint_epoch_00000001.pth"
        for name in ("usual", "compiled")
    ]
    usual, compiled = (torch.load(path, weights_only=True)["weights"] for path in paths)
    assert usual.keys() == compiled.keys()
    for key, value in usual.items():
        assert torch.allclose(value, compiled[key], atol=1e-4), key


@pytest.mark.parametrize(
    "network", ["3D-GRU-1", pytest.param("Res3D-GRU-3", marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("no_tensorboard")
def test_other_networks_train_resume_test_and_demo_alike(script, small, network):
    layout = [
        f"--network={network}",
        "--max_views=1",
        "--variant=theano",
    ]
    assert script("train", *small, *layout, "--num_epochs=1")[0] == 0
    assert script("train", *small, *layout, "--num_epochs=2", "--resume_epoch=last")[0] == 0
    status, output, errors = script("test", *small[1:])  # the checkpoint knows its network
    assert (status, errors) == (0, "") and "chair" in output
    status, output, errors = script("demo", "--resume_epoch=2")
    assert (status, errors) == (0, "") and network in output


@pytest.mark.usefixtures("no_tensorboard")
def test_init_weights_starts_from_another_checkpoint(script, small, tmp_path):
    assert script("train", *small, "--num_epochs=1")[0] == 0
    path = tmp_path / "saved_models/3d-r2n2/checkpoint_epoch_00000001.pth"
    torch.save(torch.load(path) | {"threshold": 0.3}, path)
    flags = [f"--init_weights={path}", "--experiment_name=next", "--num_epochs=1", "--LR=1e-9"]
    assert script("train", *small, *flags)[0] == 0
    first, after = load_network(path), load_network(str(path).replace("3d-r2n2", "next"))
    assert after.threshold == 0.4
    for key, value in after.state_dict().items():
        assert torch.allclose(value, first.state_dict()[key], atol=1e-6), key
    status, _, errors = script("train", *small, *flags[:1], "--width=0.125", "--experiment_name=no")
    assert status == 2 and "checkpoint_epoch_00000001.pth: these weights have width" in errors
    resume = ["--resume_epoch=last", "--num_epochs=2"]
    assert script("train", *small, *flags[:2], *resume)[0] == 0  # the weights that it began with
    status, _, errors = script("train", *small, flags[0], *resume)
    assert status == 2 and "init_weights" in errors


@pytest.mark.usefixtures("no_tensorboard")
def test_new_training_does_not_overwrite_checkpoints(script, small):
    assert script("train", *small, "--num_epochs=1")[0] == 0
    status, _, errors = script("train", *small, "--num_epochs=1")
    assert status == 2 and "--resume_epoch=last" in errors
    status, _, errors = script("train", *small, "--num_epochs=1", "--resume_epoch=1")
    assert status == 2 and "num_epochs" in errors
    status, _, errors = script("train", *small, "--num_epochs=2", "--resume_epoch=1", "--width=1")
    assert status == 2 and "width" in errors


def test_scripts_run_from_a_shell_without_warnings(small, tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "train.py"), *small, "--num_epochs=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")

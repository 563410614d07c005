"""The scripts as on Windows: without POSIX, with workers started by spawn, and no UTF-8 default."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, SMALL, make_dataset
from utils.config import read_ini

# Run at the start of every interpreter, workers included. The standard library, which is another
# on Windows, keeps what it needs here.
SITECUSTOMIZE = """
import builtins, multiprocessing, os, signal, sys, types, warnings

SIGNALS = {"SIGINT", "SIGTERM", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV", "SIG_DFL", "SIG_IGN"}
SIGNALS |= {"signal", "getsignal", "raise_signal", "Signals", "default_int_handler"}
ABSENT = {"fork", "forkpty", "getuid", "geteuid", "setpgrp", "setpgid", "setsid", "killpg", "wait"}
ABSENT |= {"sched_getaffinity", "sched_setaffinity", "register_at_fork", "mkfifo", "pread", "chown"}
ABSENT |= {"O_NONBLOCK", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "WNOHANG", "sysconf", "uname"}

def without(module, is_absent):
    copy = types.ModuleType(module.__name__)
    vars(copy).update({k: v for k, v in vars(module).items() if not is_absent(k)})
    return copy

WINDOWS = {
    "signal": without(signal, lambda name: name not in SIGNALS),
    "os": without(os, lambda name: name in ABSENT),
    "msvcrt": types.SimpleNamespace(LK_NBLCK=2, locking=lambda *_: None),
}
usual = builtins.__import__

def windows_import(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "").partition(".")[0]
    if importer in ("__main__", "data", "models", "utils"):
        if name in ("fcntl", "resource", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(name)
        if name in WINDOWS:
            return WINDOWS[name]
    return usual(name, globals, locals, fromlist, level)

builtins.__import__ = windows_import
multiprocessing.set_start_method("spawn")
warnings.simplefilter("ignore", EncodingWarning)  # of other packages
warnings.filterwarnings("error", category=EncodingWarning, module="(data|models|utils|__main__)")
"""
RUN = """
import os, runpy, sys
if __name__ == "__main__":
    from utils.tensorboard import TensorBoardLogger
    TensorBoardLogger.write = lambda *_: None  # slow, and tests/test_tensorboard.py has odd names
    for name, *arguments in {commands}:
        sys.argv = [os.fsdecode(argument) for argument in (name, *arguments)]
        print("running", name, flush=True)
        try:
            if name.endswith(b".py"):
                runpy.run_path({root!r} + "/" + sys.argv[0], run_name="__main__")
            else:
                runpy.run_module(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
        assert "embreex" not in sys.modules or name == b"data.builder"
"""
CUBE = "".join(f"v {i // 4} {i // 2 % 2} {i % 2}\n" for i in range(8))
CUBE += "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"


@pytest.mark.skipif(sys.platform != "linux", reason="makes file names that only Linux takes")
def test_scripts_run_without_posix_and_with_any_file_name(tmp_path):
    odd = os.fsdecode(b"M\xf6bel \xff")  # not UTF-8
    work = tmp_path / "größe & 椅子" / odd
    root = make_dataset(work / "data", {"chair": 2, odd: 2}, views=2)
    for tree in root.iterdir():
        (tree / "chair" / "model00").rename(tree / "chair" / "A")
        (tree / "chair" / "model01").rename(tree / "chair" / "a")
    meshes = work / "Meshes x"
    meshes.mkdir()
    for name in ("Stuhl.obj", "stuhl.obj", f"{odd}.obj"):
        (meshes / name).write_text(CUBE, encoding="ascii")
    flags = [*SMALL, f"--database_path={root}", "--val_fraction=0", "--saved_models_path=my runs"]
    config, weights = "--cfg=my runs/3d-r2n2/config.ini", "--resume_epoch=1"
    run = tmp_path / "run.py"
    commands = [
        ["train.py", *flags, "--num_epochs=1", "--num_workers=1"],
        ["test.py", config, weights, "--split=all", "--html", "--num_workers=0"],
        ["demo.py", config, weights, "--html", f"--output={odd} #1.obj", "--no-crop"]
        + [f"{root}/ShapeNetRendering/{odd}/model00/rendering/{i:02d}.png" for i in range(2)],
        ["data.builder", str(meshes), "--out", f"{odd}/built", "--views=1", "--processes=1"],
    ]
    commands = [[os.fsencode(word) for word in command] for command in commands]
    run.write_text(RUN.format(commands=commands, root=str(ROOT)), encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    settings = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONWARNDEFAULTENCODING": "1"}
    settings |= {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, run], cwd=work, env=os.environ | settings, capture_output=True, timeout=300
    )
    assert (done.returncode, done.stderr.decode("ascii")) == (0, "")

    folder = work / "my runs" / "3d-r2n2"
    assert read_ini(folder / "config.ini")["database_path"] == str(root)
    results = folder / "all-checkpoint_epoch_00000001"
    assert json.loads((results / "result.json").read_text("utf-8"))["num_samples"] == 4
    rows = (results / "per_sample.csv").read_text("utf-8").splitlines()[1:]
    names = {row.partition(",")[0] for row in rows}
    assert {"chair/A", "chair/a"} <= names and len(names) == 4
    assert {path.suffix for path in work.glob(f"{odd} #1.*")} == {".obj", ".png", ".html"}
    built = [path.name for path in Path(work, odd, "built/ShapeNetVox32").glob("*/*")]
    assert len({name.lower() for name in built}) == 3


def test_builder_without_embreex_is_a_one_line_error(script, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex", None)
    (tmp_path / "a.obj").write_text(CUBE, encoding="ascii")
    for flags in (["__main__", tmp_path], ["synthetic"]):
        out = tmp_path / "out"
        status, _, errors = script(f"data.builder.{flags[0]}", *flags[1:], "--out", out)
        assert status == 2 and errors.startswith("error: embreex: not installed")
        assert errors.count("\n") == 1 and not out.exists()


def test_folder_that_tensorboard_cannot_write_is_a_one_line_error(script, small, tmp_path):
    name = os.fsdecode(b"M\xf6bel")
    status, _, errors = script("train", *small, f"--experiment_name={name}")
    assert status == 2 and errors.startswith("error: saved_models_path: TensorBoard")
    assert errors.count("\n") == 1 and not list((tmp_path / "saved_models").iterdir())

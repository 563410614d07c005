"""Disturb real processes by real signals, full disks and refused memory.

python -m tests.faults [NAME ...]    prints a table; as tests: pytest -m slow tests/faults.py
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import ROOT, SMALL, make_dataset
from utils.signals import REPEAT_SECONDS

FOLDER = Path("saved_models/3d-r2n2")
INTERRUPTED = FOLDER / "checkpoint_interrupted.pth"
LIMIT = 120  # seconds, after which a process counts as one that hangs
FLAGS = [*SMALL, "--batch_size=1", "--database_path=data", "--num_epochs=100"]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv_backend=c10d")
TORCHRUN += ("--rdzv_endpoint=localhost:0",)
# train.py with steps that are slow enough to be disturbed.
TRAIN = f"""
import numpy, resource, runpy, time
from datetime import timedelta
from torch.utils.data import get_worker_info
import data.loader, utils.distributed
from data.shapenet import ShapeNetDataset
from utils.distributed import Precision
step, load_views = Precision.step, ShapeNetDataset.load_views
Precision.step = lambda *arguments: (time.sleep(0.3), step(*arguments))[1]
{{patch}}
runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
"""
REFUSE_MEMORY = """
def refused(*arguments):
    if get_worker_info():
        resource.setrlimit(resource.RLIMIT_AS, (2**20, -1))
        try:
            numpy.ones(2**26)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return load_views(*arguments)
ShapeNetDataset.load_views = refused
"""
FAULTS = {}  # status, pattern, whether it saves the epoch's steps, and function, by name
# Ordinary tests of the same kind.
OTHERS = """
test_checkpoint.py::test_training_goes_on_with_a_warning_where_no_locks_exist
test_checkpoint.py::test_checkpoint_that_is_not_finite_is_not_written
test_checkpoint.py::test_other_batches_are_noted_between_epochs_and_refused_within
test_stopping.py::test_error_within_an_epoch_loses_no_step
test_distributed.py::test_wrong_variables_of_torchrun_are_named
test_errors.py::test_closed_streams_change_nothing_but_what_is_printed
test_files.py::test_fifo_and_device_are_refused_before_the_open
test_weights.py::test_saved_network_loads_the_same
""".split()
STARTED = []  # processes of the current fault


def fault(status: int, pattern: str, saved: bool = True) -> Callable:
    """Register a function that returns a process that should end so, with one line on stderr."""

    def register(function: Callable) -> Callable:
        FAULTS[function.__name__] = status, pattern, saved, function
        return function

    return register


def start(*command: str, prefix: tuple = (), **variables: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables
    process = subprocess.Popen(
        [*prefix, sys.executable, *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    STARTED.append(process)
    return process


def train(*flags: str, launcher: tuple = (), patch: str = "", **options) -> subprocess.Popen:
    Path("run.py").write_text(TRAIN.format(patch=patch), "utf-8")
    return start(*launcher, "run.py", *FLAGS, *flags, **options)


def train_to_second_epoch(*flags: str, **options) -> subprocess.Popen:
    process, end = train(*flags, **options), time.time() + LIMIT
    while not (FOLDER / "checkpoint_epoch_00000001.pth").exists():
        assert time.time() < end, "no first checkpoint"
        time.sleep(0.05)
    time.sleep(1)  # into the middle of the epoch
    return process


def children(process: subprocess.Popen) -> list[int]:
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listing.split()]


def unshare(*mount: str) -> tuple[str, ...]:
    """Return the start of a command with a small disk mounted at a folder."""
    if os.getuid() or not shutil.which("unshare"):
        pytest.skip("needs root, to mount a small disk")
    return ("unshare", "-m", "sh", "-c", f'mount -t tmpfs {" ".join(mount)}; exec "$@"', "sh")


@fault(2, "--shm-size", saved=False)
def full_shared_memory():
    return train("--num_workers=1", prefix=unshare("-o size=64k", "tmpfs", "/dev/shm"))


@fault(2, "not enough memory: Unable to allocate.*--num_workers", saved=False)
def memory_refused_in_a_worker():
    return train("--num_workers=1", patch=REFUSE_MEMORY)


@fault(2, "a process that loads data died")
def killed_worker():
    process = train_to_second_epoch("--num_workers=1")
    os.kill(children(process)[0], signal.SIGKILL)
    return process


@fault(2, "no batch for 5 seconds")
def stopped_worker():
    patch = "data.loader.WAIT_SECONDS = 5"
    process = train_to_second_epoch("--num_workers=1", patch=patch)
    for worker in children(process):
        os.kill(worker, signal.SIGSTOP)
    return process


@fault(130, "interrupted")
def ctrl_c_while_waiting_for_a_batch():
    process = train_to_second_epoch("--num_workers=1")
    for worker in children(process):
        os.kill(worker, signal.SIGSTOP)
    time.sleep(5)
    os.killpg(process.pid, signal.SIGINT)
    return process


@fault(130, "interrupted")
def ctrl_c_held_to_the_end():
    process = train_to_second_epoch("--num_workers=1")
    end = time.time() + REPEAT_SECONDS - 1
    while process.poll() is None and time.time() < end:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)
    return process


@fault(1, "closing signal SIGTERM\n(.|\n)*interrupted\ninterrupted\n")
def stop_signal_to_all_of_torchrun():
    process = train_to_second_epoch(launcher=TORCHRUN)
    os.killpg(process.pid, signal.SIGTERM)
    return process


@fault(-9, "^(interrupted\n){2}$")
def killed_torchrun():
    process = train_to_second_epoch(launcher=TORCHRUN)
    process.kill()
    return process


@fault(2, "another process of the training died or did not answer for 0:00:10", saved=False)
def stopped_rank():
    options = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29577", "WORLD_SIZE": "2"}
    options["patch"] = "utils.distributed.TIMEOUT = timedelta(seconds=10)"
    ranks = [train(**options, RANK="0"), train_to_second_epoch(**options, RANK="1")]
    ranks[1].send_signal(signal.SIGSTOP)
    return ranks[0]


@fault(2, r"model0\d/rendering/01.png: Input/output error")
def unreadable_image():
    image = Path("data/ShapeNetRendering/chair/model03/rendering/01.png")
    image.unlink()
    image.symlink_to("/proc/self/mem")  # whose first byte gives EIO
    return train("--min_views=2")


@fault(2, r"model0\d/rendering/00.png: too many pixels")
def image_of_67_million_pixels():
    image = "data/ShapeNetRendering/chair/model03/rendering/00.png"
    Image.new("L", (67_000_000, 1)).save(image)
    return train()


@fault(0, "warning: .*tensorboard.*No space left.*goes on without TensorBoard", saved=False)
def full_disk_under_tensorboard():
    (FOLDER / "tensorboard").mkdir(parents=True)
    disk = unshare("-o size=8k", "tmpfs", str(FOLDER / "tensorboard"))
    return train("--num_epochs=3", prefix=disk)


@fault(130, "interrupted", saved=False)
def ctrl_c_while_furniture_is_built():
    process, end = train("--database_path=synthetic"), time.time() + LIMIT
    while not (built := list(Path.cwd().glob("datasets/synthetic/ShapeNetVox32/*/*"))):
        assert process.poll() is None and time.time() < end, "nothing built"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(LIMIT)
    leftovers = list(Path("datasets/synthetic").glob(".*"))
    assert built[0].exists() and not leftovers, leftovers
    return process


def run(name: str) -> tuple[str, bool]:
    """Run a fault in the current folder. Return what was seen, and whether it was expected."""
    status, pattern, saved, function = FAULTS[name]
    make_dataset(Path("data"), {"chair": 40}, views=2)  # epochs of several seconds
    started = time.time()
    try:
        process = function()
        errors = process.communicate(timeout=LIMIT)[1]
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return repr(error), False
    finally:
        for other in STARTED:
            with suppress(ProcessLookupError):
                os.killpg(other.pid, signal.SIGKILL)
        STARTED.clear()
    good = (process.returncode, INTERRUPTED.exists()) == (status, saved)
    good = good and re.search(pattern, errors) and (errors.count("\n") == 1 or "\n" in pattern)
    seen = f"{process.returncode}, saved: {INTERRUPTED.exists()}, {time.time() - started:.0f} s"
    return f"{seen}, {errors.strip()}", bool(good)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and Linux's signals")
@pytest.mark.parametrize("name", FAULTS)
def test_fault_ends_as_expected(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen, good = run(name)
    assert good, seen


def main() -> None:
    for name in sys.argv[1:] or FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            seen, good = run(name)
            os.chdir("/")
        expected = "{0}, saved: {2}, {1!r}".format(*FAULTS[name])
        print("ok  " if good else "FAIL", f"{name}\n  expected {expected}\n  seen     {seen}")
    if not sys.argv[1:]:
        pytest.main(["-v", *(str(ROOT / "tests" / name) for name in OTHERS)])


if __name__ == "__main__":
    main()

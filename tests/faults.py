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

from tests.helpers import ROOT, SMALL, make_dataset
from utils.signals import REPEAT_SECONDS

FOLDER = Path("saved_models/3d-r2n2")
INTERRUPTED = FOLDER / "checkpoint_interrupted.pth"
LIMIT = 120  # seconds, after which a process counts as one that hangs
FLAGS = [*SMALL, "--batch_size=1", "--database_path=data", "--num_epochs=100"]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv_backend=c10d")
TORCHRUN += ("--rdzv_endpoint=localhost:0",)
# train.py with short waits, and steps that are slow enough to be disturbed.
TRAIN = f"""
import numpy, resource, runpy, time
from datetime import timedelta
from torch.utils.data import get_worker_info
import data.loader, utils.distributed
from data.shapenet import ShapeNetDataset
from utils.distributed import Precision
data.loader.WAIT_SECONDS = 5
utils.distributed.TIMEOUT = timedelta(seconds=10)
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
FAULTS = {}  # status, pattern and function by name
STARTED = []  # processes of the current fault


def fault(status: int, pattern: str) -> Callable:
    """Register a function that returns a process that should end so, with one line on stderr."""

    def register(function: Callable) -> Callable:
        FAULTS[function.__name__] = status, pattern, function
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


def wait_for(path: Path) -> None:
    end = time.time() + LIMIT
    while not path.exists():
        assert time.time() < end, f"no {path}"
        time.sleep(0.05)
    time.sleep(1)  # into the middle of an epoch


def children(process: subprocess.Popen) -> list[int]:
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listing.split()]


def unshare(*mount: str) -> tuple[str, ...]:
    """Return the start of a command with a small disk mounted at a folder."""
    if os.getuid() or not shutil.which("unshare"):
        pytest.skip("needs root, to mount a small disk")
    return ("unshare", "-m", "sh", "-c", f'mount -t tmpfs {" ".join(mount)}; exec "$@"', "sh")


@fault(2, "--shm-size")
def full_shared_memory():
    return train("--num_workers=1", prefix=unshare("-o size=64k", "tmpfs", "/dev/shm"))


@fault(2, "not enough memory: Unable to allocate.*--num_workers")
def memory_refused_in_a_worker():
    return train("--num_workers=1", patch=REFUSE_MEMORY)


@fault(2, "a process that loads data died")
def killed_worker():
    process = train("--num_workers=1")
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    os.kill(children(process)[0], signal.SIGKILL)
    wait_for(INTERRUPTED)
    return process


@fault(2, "no batch for 5 seconds")
def stopped_worker():
    process = train("--num_workers=1")
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    for worker in children(process):
        os.kill(worker, signal.SIGSTOP)
    wait_for(INTERRUPTED)
    return process


@fault(130, "interrupted")
def ctrl_c_while_waiting_for_a_batch():
    process = train("--num_workers=1", patch="data.loader.WAIT_SECONDS = 1000")
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    for worker in children(process):
        os.kill(worker, signal.SIGSTOP)
    time.sleep(5)
    os.killpg(process.pid, signal.SIGINT)
    wait_for(INTERRUPTED)
    return process


@fault(130, "interrupted")
def ctrl_c_held_to_the_end():
    process = train("--num_workers=1")
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    end = time.time() + REPEAT_SECONDS - 1
    while process.poll() is None and time.time() < end:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)
    wait_for(INTERRUPTED)
    return process


@fault(129, "interrupted")
def closed_terminal():
    process = train()
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    os.killpg(process.pid, signal.SIGHUP)
    wait_for(INTERRUPTED)
    return process


@fault(1, "closing signal SIGTERM\n(.|\n)*interrupted\ninterrupted\n")
def stop_signal_to_all_of_torchrun():
    process = train(launcher=TORCHRUN)
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    os.killpg(process.pid, signal.SIGTERM)
    wait_for(INTERRUPTED)
    return process


@fault(-9, "^(interrupted\n){2}$")
def killed_torchrun():
    process = train(launcher=TORCHRUN)
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    process.kill()
    wait_for(INTERRUPTED)
    return process


@fault(2, "another process of the training died or did not answer for 0:00:10")
def stopped_rank():
    variables = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29577", "WORLD_SIZE": "2"}
    ranks = [train(**variables, RANK=rank) for rank in "01"]
    wait_for(FOLDER / "checkpoint_epoch_00000001.pth")
    ranks[1].send_signal(signal.SIGSTOP)
    try:
        ranks[0].wait(LIMIT)
    finally:
        ranks[1].kill()
    return ranks[0]


@fault(2, r"model0\d/rendering/01.png: Input/output error")
def unreadable_image():
    image = Path("data/ShapeNetRendering/chair/model01/rendering/01.png")
    image.unlink()
    image.symlink_to("/proc/self/mem")  # whose first byte gives EIO
    return train("--min_views=2")


@fault(0, "warning: .*tensorboard.*No space left.*goes on without TensorBoard")
def full_disk_under_tensorboard():
    (FOLDER / "tensorboard").mkdir(parents=True)
    disk = unshare("-o size=8k", "tmpfs", str(FOLDER / "tensorboard"))
    return train("--num_epochs=3", prefix=disk)


def interrupt(process: subprocess.Popen, number: int, ready: Callable) -> subprocess.Popen:
    """Signal the whole group when `ready()`; expect an end within ten seconds, and no leftovers."""
    end = time.time() + LIMIT
    while not ready(process):
        assert process.poll() is None and time.time() < end, "not ready"
        time.sleep(0.01)
    os.killpg(process.pid, number)
    process.wait(10)
    leftovers = [*Path("datasets/synthetic").glob(".*"), *Path("data").glob(".*")]
    assert not leftovers, leftovers
    return process


@fault(130, "interrupted")
def ctrl_c_while_furniture_is_built():
    built = "datasets/synthetic/ShapeNetVox32/*/*"
    process = train("--database_path=synthetic")
    interrupt(process, signal.SIGINT, lambda _: list(Path.cwd().glob(built)))
    assert list(Path.cwd().glob(built))
    return process


def run(name: str) -> tuple[str, bool]:
    """Run a fault in the current folder. Return what was seen, and whether it was expected."""
    status, pattern, function = FAULTS[name]
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
    seconds, lines = time.time() - started, errors.count("\n")
    few = lines == 1 or "\n" in pattern
    good = process.returncode == status and few and re.search(pattern, errors)
    return f"{process.returncode}, {lines} lines in {seconds:.0f} s: {errors.strip()}", bool(good)


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
        expected = "{}: {!r}".format(*FAULTS[name][:2])
        print("ok  " if good else "FAIL", f"{name}\n  expected {expected}\n  seen     {seen}")


if __name__ == "__main__":
    main()

"""Stop signals: Ctrl-C (SIGINT), SIGTERM, and SIGHUP of a terminal that is closed.

What a stop signal does to train.py:

1. `catch_stop_signals` notes the first one, and says that the training stops before the next step.
2. There, or while the training waits for a batch, `distributed.raise_if_stopped` raises Interrupted
   in all processes. (A validation ends at once, but is first completed with several processes.)
3. train.py saves checkpoint_interrupted.pth, from which --resume_epoch=last continues.
4. `errors.run` exits with status 130 after Ctrl-C, 143 after SIGTERM and 129 after SIGHUP.

A second one is ignored for REPEAT_SECONDS, as Slurm signals all processes of a job and torchrun
passes its own signal on. After that it raises KeyboardInterrupt: an end without a checkpoint.
What runs in `stop_at_once`, such as the build of a dataset, ends at the first one. In other scripts
Ctrl-C raises KeyboardInterrupt, as usual in Python.
"""

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress

from utils.errors import Interrupted

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
STOP_SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
REPEAT_SECONDS = 5
STOPPING = f"""
stopping before the next step; repeat after {REPEAT_SECONDS} seconds to stop without a checkpoint
"""

_requested = 0  # the signal that asked this process to stop


def stop_requested() -> int:
    """Return the signal that `catch_stop_signals` caught, or 0."""
    return _requested


@contextmanager
def catch_stop_signals():
    """Let a stop signal be noted in the block, for `stop_requested`.

    Repeated signals are ignored after the block too.
    """
    global _requested
    _requested, noted_at = 0, 0.0

    def note(number: int, _frame) -> None:
        global _requested
        nonlocal noted_at
        if not _requested:
            _requested, noted_at = number, time.monotonic()
            with suppress(OSError):  # not print, which the signal may have come in the middle of
                os.write(sys.stdout.fileno(), STOPPING.encode())
        elif time.monotonic() - noted_at > REPEAT_SECONDS:
            raise KeyboardInterrupt

    with _handled_by(note):
        yield


@contextmanager
def stop_at_once():
    """Raise Interrupted in the block when a stop signal comes, and ignore later ones."""
    raised = False

    def stop(number: int, _frame) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise Interrupted(128 + number)

    if _requested:
        raise Interrupted(128 + _requested)
    with _handled_by(stop):
        yield


@contextmanager
def _handled_by(handler: Callable):
    """Let `handler` have the stop signals in the block, except those that are ignored.

    A shell that starts a script with `&` has it ignore SIGINT, and nohup SIGHUP: they stay so.
    """
    usual = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    usual = {number: old for number, old in usual.items() if old != signal.SIG_IGN}
    for number in usual:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in usual.items():
            if not _requested:  # else a repeated signal could end a process that is saving its work
                signal.signal(number, old)


@atexit.register
def _ignore_repeated() -> None:
    """Ignore repeated signals while the interpreter exits: it resets the handlers."""
    for number in STOP_SIGNALS if _requested else ():
        signal.signal(number, signal.SIG_IGN)

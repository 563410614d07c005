"""Stop signals: Ctrl-C (SIGINT), SIGTERM, and SIGHUP of a terminal that is closed.

A training stops between two steps and saves a checkpoint; other work stops at once.
"""

import signal
import time
from collections.abc import Callable
from contextlib import contextmanager

from utils.errors import Interrupted

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
STOP_SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
REPEAT_SECONDS = 5

_requested = 0  # the signal that asked this process to stop


def stop_requested() -> int:
    """Return the signal that `catch_stop_signals` caught, or 0."""
    return _requested


@contextmanager
def catch_stop_signals():
    """Let a stop signal be noted in the block, for `stop_requested`.

    A second one raises KeyboardInterrupt, but not within REPEAT_SECONDS of the first, even when the
    block has ended: Slurm signals all processes of a job, and torchrun passes its own signal on.
    """
    global _requested
    _requested, noted_at = 0, 0.0

    def note(number: int, _frame) -> None:
        global _requested
        nonlocal noted_at
        if not _requested:
            _requested, noted_at = number, time.monotonic()
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

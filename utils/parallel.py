"""A parallel map over many items, with one progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from utils.errors import InputError
from utils.signals import STOP_SIGNALS, stop_at_once

CRASHED = "the process died, perhaps out of memory"
MAX_PROCESSES = 61 if sys.platform == "win32" else 1024  # of a pool on Windows


def parallel_map(
    function: Callable, items: list, label: str, processes: int | None = None, crash_result=None
) -> list:
    """Return [function(item) for item in items], computed by several processes.

    Args:
        function: One of an importable module, so that it can be pickled.
        processes: Default: one a core. With 1, no process is started.
        crash_result: Result of an item whose process died (a library crashed, or the system ran
            out of memory). Without it, a crash raises InputError.

    Raises:
        Interrupted: Within two seconds of a stop signal. Running calls are ended by SystemExit.
    """
    processes = min(processes or num_cores(), max(len(items), 1), MAX_PROCESSES)
    results = {}
    with stop_at_once(), tqdm(total=len(items), desc=label, unit="shape", file=sys.stdout) as bar:
        if processes == 1:
            for i, item in enumerate(items):
                results[i] = function(item)
                bar.update()
        while missing := [i for i in range(len(items)) if i not in results]:
            if _run_pool(function, items, missing, processes, results, bar):
                break
            # The pool doesn't tell whose process died. It takes items in order and holds at most
            # 2 * processes + 1 of them: repeat these, each in a process of its own.
            suspects = [i for i in missing if i not in results][: 2 * processes + 1]
            for i in suspects:
                if not _run_pool(function, items, [i], 1, results, bar):
                    if crash_result is None:
                        raise InputError(f"{items[i]}: {CRASHED}")
                    results[i] = crash_result
                    bar.update()
    return [results[i] for i in range(len(items))]


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run_pool(function, items, indices, processes, results, bar) -> bool:
    """Add the results of items by their index. Return whether no process died."""
    context = multiprocessing.get_context("spawn")  # fork deadlocks with torch's threads
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(processes, context, _init_worker) as pool:
        try:
            futures = _submit(pool, function, items, indices)
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                bar.update()
        except BrokenProcessPool:
            return False
        except BaseException:
            _end([child for child in multiprocessing.active_children() if child not in others])
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    return True


def _submit(pool, function, items, indices) -> dict[Future, int]:
    """Start the processes too, with the terminal's signals blocked: imports take a second."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return {pool.submit(_call, function, items[i]): i for i in indices}
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        return {pool.submit(_call, function, items[i]): i for i in indices}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


def _call(function, item):
    try:
        return function(item)
    except SystemExit:
        os._exit(1)  # the pool would take it for a result


def _end(workers: list) -> None:
    """Let running calls remove their temporary files, but kill them after a second."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(1 / len(workers))
        worker.kill()


def _init_worker() -> None:
    """Leave the terminal's signals to the parent, and exit when it asks to or is gone."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

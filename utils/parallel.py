"""A parallel map over many items, with one progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from utils.errors import InputError

CRASHED = "the process died, perhaps out of memory"
MAX_PROCESSES = 61 if sys.platform == "win32" else 1024  # of a pool on Windows


def parallel_map(
    function: Callable, items: list, label: str, processes: int | None = None, crash_result=None
) -> list:
    """Return [function(item) for item in items], computed by several processes.

    After an exception or Ctrl-C, running calls finish and the others are dropped.

    Args:
        function: One of an importable module, so that it can be pickled.
        processes: Default: one a core. With 1, no process is started.
        crash_result: Result of an item whose process died (a library crashed, or the system ran
            out of memory). Without it, a crash raises InputError.
    """
    processes = min(processes or num_cores(), max(len(items), 1), MAX_PROCESSES)
    results = {}
    with tqdm(total=len(items), desc=label, unit="shape", file=sys.stdout) as bar:
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
    with ProcessPoolExecutor(processes, context, _init_worker) as pool:
        futures = {pool.submit(function, items[i]): i for i in indices}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                bar.update()
        except BrokenProcessPool:
            return False
        finally:
            pool.shutdown(cancel_futures=True)
    return True


def _init_worker() -> None:
    """Leave Ctrl-C to the parent, which lets running calls finish, and exit when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

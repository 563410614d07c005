"""Work on many items by many processes, under one progress bar."""

import multiprocessing
import os
import resource
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from tqdm import tqdm

from utils.errors import InputError

LARGEST_PROCESS = 2**32  # bytes of memory


def parallel_map(work, items: list, label: str, processes: int | None = None) -> list:
    """The results of work(item), in the order of the items, on all cores unless told.

    With `processes` = 1 this one works, whose memory nothing limits. After an error or Ctrl-C, what
    is in progress is finished and the rest left alone. Raises InputError, naming what was in
    progress, when a process dies.
    """
    if not items:
        return []
    bar = partial(tqdm, total=len(items), desc=label, unit="object", file=sys.stdout)
    if processes == 1:
        return list(bar(map(work, items)))
    processes = min(processes or len(os.sched_getaffinity(0)), len(items))
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads half
    with ProcessPoolExecutor(processes, context, _begin) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in bar(as_completed(futures)):
                future.result()
        except BrokenProcessPool as error:
            jobs = zip(items, futures, strict=True)
            failed = [str(item) for item, future in jobs if future.exception()]
            raise InputError(
                f"{label}: a process died, maybe for want of memory, "
                f"at {' or '.join(failed[:processes])}"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _begin() -> None:
    """Leave Ctrl-C to the parent, so that what is in progress is finished, and end when it ends.

    A stranger's file may make a library take any amount of memory; it gets no more than this.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > LARGEST_PROCESS:
        resource.setrlimit(resource.RLIMIT_DATA, (LARGEST_PROCESS, hard))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

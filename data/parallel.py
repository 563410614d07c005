"""Work on many items by many processes, under one progress bar."""

import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context

from tqdm import tqdm

from utils.errors import UserError


def in_parallel(work, items: list, label: str, processes: int | None = None) -> list:
    """The results of work(item), in the order of the items, on all cores unless told.

    After an error or Ctrl-C, what is under way is finished and the rest left alone. Raises
    UserError when a process dies.
    """
    if not items:
        return []
    processes = min(processes or len(os.sched_getaffinity(0)), len(items))
    bar = partial(tqdm, total=len(items), desc=label, unit="object", file=sys.stdout)
    if processes == 1:
        return list(bar(map(work, items)))
    context = get_context("spawn")  # a fork would copy torch's threads half
    with ProcessPoolExecutor(processes, context, _leave_ctrl_c) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in bar(as_completed(futures)):
                future.result()
        except BrokenProcessPool as error:
            raise UserError(f"{label}: a process died, maybe for want of memory") from error
        finally:
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _leave_ctrl_c() -> None:
    """Leave Ctrl-C to the parent, so that objects under way are finished."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

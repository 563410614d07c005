"""Work on many items by many processes, under one progress bar."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tqdm import tqdm


def in_parallel(work, items: list, label: str, processes: int | None = None) -> list:
    """The results of work(item) in the order of the items, by several processes, with a bar.

    The first error ends the work: what has not begun is dropped, what has begun is finished.
    """
    processes = min(processes or len(os.sched_getaffinity(0)), len(items))
    bar = partial(tqdm, total=len(items), desc=label, unit="object", file=sys.stdout)
    if processes == 1:
        return list(bar(map(work, items)))
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads half
    with ProcessPoolExecutor(processes, context) as pool:
        try:
            return list(bar(pool.map(work, items)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

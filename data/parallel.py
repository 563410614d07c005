"""Work on many items by many processes, under one progress bar."""

import multiprocessing
import os
import signal
import sys
from functools import partial

from tqdm import tqdm


def in_parallel(work, items: list, label: str, processes: int | None = None) -> list:
    """The results of work(item) in the order of the items, by several processes, with a bar."""
    processes = min(processes or len(os.sched_getaffinity(0)), len(items))
    bar = partial(tqdm, total=len(items), desc=label, unit="object", file=sys.stderr)
    if processes == 1:
        return list(bar(map(work, items)))
    with multiprocessing.get_context("spawn").Pool(processes, _let_go) as pool:
        return list(bar(pool.imap(work, items)))


def _let_go() -> None:
    """Let a process that is told to end remove its temporary folders."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

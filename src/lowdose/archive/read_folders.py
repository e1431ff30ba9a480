"""Reading of the headers of an archive, on all cores of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

Rows = list[dict[str, Any]]
FOLDERS_AT_A_TIME = 4
FEW_FOLDERS = 32
"""Folders that are read in this process: starting others would take longer."""


def read_folders(folders: Sequence[dict[str, str]], read: Callable[[dict[str, str]], Rows]) -> Iterator[dict[str, Any]]:
    """Yield the rows that ``read`` makes of each folder."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processes == 1 or len(folders) <= FEW_FOLDERS:
        for folder in folders:
            yield from read(folder)
        return
    context = multiprocessing.get_context("fork")  # nothing is imported again
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with, initargs=(os.getpid(),))
    try:
        for rows in pool.map(read, folders, chunksize=FOLDERS_AT_A_TIME):
            yield from rows
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with(parent: int) -> None:
    """Make this process end with its parent, however that ends; what a user sends goes to the parent alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Work that several processes of one machine share, each on a core of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import torch

Advance = Callable[[int, int], None]
"""Called with (done, to do)."""
POLL_S = 0.2
"""Seconds between two reports of the progress."""


def in_processes(processes: int, work: Callable[[int, Advance], None], advance: Advance) -> None:
    """Call ``work(number, advance)`` for each number below ``processes``, in a process of one thread each.

    advance: receives the progress of all. The processes are forked, so that nothing needs to be pickled or imported
    again; ``work`` must therefore not use CUDA, and what it makes must lie on disk. What a process could not do because
    of an error, which it prints, is not done: the caller should do it or find the error again. When the caller is
    killed, the processes end at their next ``advance``.
    """
    context = multiprocessing.get_context("fork")
    counts = context.Array("q", 2 * processes)
    workers = [context.Process(target=_run, args=(work, counts, number), daemon=True) for number in range(processes)]
    for worker in workers:
        worker.start()
    told = 0
    try:
        while any(worker.is_alive() for worker in workers):
            time.sleep(POLL_S)
            done = sum(counts[0::2])
            if done > told:
                told = done
                advance(done, sum(counts[1::2]))
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _run(work: Callable[[int, Advance], None], counts: Any, number: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent ends this process, also on Ctrl-C
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    parent = os.getppid()

    def advance(done: int, total: int) -> None:
        if os.getppid() != parent:
            os._exit(1)
        counts[2 * number], counts[2 * number + 1] = done, total

    work(number, advance)

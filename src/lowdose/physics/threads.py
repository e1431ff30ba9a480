"""Run compiled loops on all cores, split the same way for any number of cores so that results do not change."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

BLOCKS = 16


def in_threads(work: Callable[..., None], count: int, *arguments: object) -> None:
    """Call ``work(*arguments, block, first, last)`` on 0..count-1, split into BLOCKS ranges.

    Ranges run in parallel threads, on as many as PyTorch uses. ``work`` must release the GIL to gain from it.
    """
    bounds = [block * count // BLOCKS for block in range(BLOCKS + 1)]
    ranges = [(block, bounds[block], bounds[block + 1]) for block in range(BLOCKS)]
    threads = torch.get_num_threads()
    if threads == 1:
        for limits in ranges:
            work(*arguments, *limits)
        return
    for future in [_pool(os.getpid(), threads).submit(work, *arguments, *limits) for limits in ranges]:
        future.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return the thread pool of a process, one for each: threads do not survive a fork (data loader workers)."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"physics-{process}")

"""Compiled loops on all cores. The work is cut the same way whatever the number of cores, so results are the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

BLOCKS = 16


def in_threads(work: Callable[..., None], count: int, *arguments: object) -> None:
    """``work(*arguments, block, first, last)`` for 0..count-1 cut into BLOCKS ranges.

    It must release the GIL to be any faster.
    """
    edges = [block * count // BLOCKS for block in range(BLOCKS + 1)]
    parts = [(block, edges[block], edges[block + 1]) for block in range(BLOCKS)]
    threads = torch.get_num_threads()
    if threads == 1:
        for part in parts:
            work(*arguments, *part)
        return
    for running in [_pool(os.getpid(), threads).submit(work, *arguments, *part) for part in parts]:
        running.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One pool for a process: threads do not survive a fork, as of a data loader's workers."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"physics-{process}")

"""Building of a noise bank by several processes of one machine, one for each core."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from lowdose.data.noise_bank.build import Calibrate, build_noise_bank
from lowdose.data.normal_dose import NormalDoseSlice

POLL_S = 0.2
"""Seconds between two reports of the progress."""


def build_with_processes(
    folder: Path,
    slices: Sequence[NormalDoseSlice],
    calibrate: Calibrate,
    share: tuple[int, int],
    advance: Callable[[int, int], None],
    processes: int,
) -> None:
    """Build the share of a bank that ``build_noise_bank`` would build, with ``processes`` processes of one thread each.

    Drawing photons takes one core however many there are, so one process for each core is faster than one process with
    all of them. The images are the same to the last bit. What a process could not build is still missing afterwards;
    the caller calls ``build_noise_bank`` once more, which builds it or raises the error. The simulators that
    ``calibrate`` returns must compute on the CPU, since a forked process cannot use CUDA.
    """
    processes = min(processes, len(slices))
    if processes <= 1:
        build_noise_bank(folder, slices, calibrate, share, advance)
        return
    # Forked, so that slices of any format need not be pickled, and nothing is imported again.
    context = multiprocessing.get_context("fork")
    counts = context.Array("q", 2 * processes)
    shares = [(share[0] * processes + number, share[1] * processes) for number in range(processes)]
    workers = [
        context.Process(target=_build, args=(folder, slices, calibrate, part, counts, number), daemon=True)
        for number, part in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    try:
        while any(worker.is_alive() for worker in workers):
            time.sleep(POLL_S)
            advance(sum(counts[0::2]), max(1, sum(counts[1::2])))
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _build(
    folder: Path,
    slices: Sequence[NormalDoseSlice],
    calibrate: Calibrate,
    share: tuple[int, int],
    counts: Any,
    number: int,
) -> None:
    """Build one share in a process of its own; its progress goes to ``counts`` as (done, to do) at 2 * number."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent ends this process, also on Ctrl-C
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)

    def advance(done: int, total: int) -> None:
        counts[2 * number], counts[2 * number + 1] = done, total

    build_noise_bank(folder, slices, calibrate, share, advance)

"""How fast a run is, and what it waits for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import Tensor

B = TypeVar("B", bound=tuple[Tensor, ...])

SLICE_PIXELS = 512 * 512


class ThroughputMeter:
    """Counts what all ``processes`` do between one ``tell`` and the next, by the clock of this one.

    Waiting is the time blocked in asking for the next batch, and costs nothing to measure: on a GPU, whose work is
    queued, the queue may run dry before that, or hide a short wait.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._begin()

    def _begin(self) -> None:
        self._since, self._waited, self._apart = time.perf_counter(), 0.0, 0.0
        self._patches = self._pixels = 0

    def batches(self, given: Iterable[B]) -> Iterator[B]:
        """The same batches, counted. The first tensor of each is (B, ..., H, W)."""
        source = iter(given)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            self._waited += time.perf_counter() - asked
            if batch is None:
                return
            count, (height, width) = batch[0].shape[0], batch[0].shape[-2:]
            self._patches += count * self._processes
            self._pixels += count * height * width * self._processes
            yield batch

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """What is done within is no training: validation, saving."""
        start = time.perf_counter()
        yield
        self._apart += time.perf_counter() - start

    def read_and_reset(self) -> dict[str, float]:
        """Rows for the log, and begins anew. slices_per_second: pixels in units of slices of 512 x 512, training alone.

        data_wait_percent: of the time of training; apart_percent: of all time.
        """
        whole = max(time.perf_counter() - self._since, 1e-9)
        training = max(whole - self._apart, 1e-9)
        told = {
            "throughput/patches_per_second": self._patches / training,
            "throughput/slices_per_second": self._pixels / SLICE_PIXELS / training,
            "throughput/data_wait_percent": 100 * self._waited / training,
            "throughput/apart_percent": 100 * self._apart / whole,
        }
        self._begin()
        return told

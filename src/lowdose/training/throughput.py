"""Throughput of a training run, and the time it waits for data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import Tensor

B = TypeVar("B", bound=tuple[Tensor, ...])

SLICE_PIXELS = 512 * 512


class ThroughputMeter:
    """Throughput of all ``processes`` together, from one ``read_and_reset`` to the next, by the clock of this one.

    The time spent waiting for data is that for which the request for the next batch blocks, which costs nothing to
    measure. On a GPU, where work is queued, this is not exact: the queue may run empty before the request, or hide a
    short wait.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._reset()

    def _reset(self) -> None:
        self._start, self._waiting_s, self._excluded_s = time.perf_counter(), 0.0, 0.0
        self._patches = self._pixels = 0

    def batches(self, given: Iterable[B]) -> Iterator[B]:
        """Yield the given batches and count them; the first tensor of each is (B, ..., H, W)."""
        source = iter(given)
        while True:
            requested = time.perf_counter()
            batch = next(source, None)
            self._waiting_s += time.perf_counter() - requested
            if batch is None:
                return
            count, (height, width) = batch[0].shape[0], batch[0].shape[-2:]
            self._patches += count * self._processes
            self._pixels += count * height * width * self._processes
            yield batch

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """Exclude a ``with`` block, such as validation or saving, from the time spent on training."""
        start = time.perf_counter()
        yield
        self._excluded_s += time.perf_counter() - start

    def read_and_reset(self) -> dict[str, float]:
        """Return the metrics since the last call, for the log, and start again from zero.

        patches_per_second and slices_per_second refer to the time spent on training, with 512 x 512 pixels as one
        slice. data_wait_percent: share of the time spent on training. validation_percent: share of all time that was
        excluded.
        """
        elapsed_s = max(time.perf_counter() - self._start, 1e-9)
        training_s = max(elapsed_s - self._excluded_s, 1e-9)
        metrics = {
            "throughput/patches_per_second": self._patches / training_s,
            "throughput/slices_per_second": self._pixels / SLICE_PIXELS / training_s,
            "throughput/data_wait_percent": 100 * self._waiting_s / training_s,
            "throughput/validation_percent": 100 * self._excluded_s / elapsed_s,
        }
        self._reset()
        return metrics

"""Hand series to workers with Ray, and report how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lowdose.archive.cluster import allocate_workers, ray_session
from lowdose.archive.ledger import DONE, QUARANTINED, Ledger
from lowdose.archive.output_aside import output_aside
from lowdose.archive.settings import ArchiveOptions, ArchiveSettings
from lowdose.archive.worker import Worker
from lowdose.io.messages import counted

MAX_BLOCKS = 4096
"""Blocks of series; one that is lost with its worker is handed out again, and what the ledger holds is skipped."""
REPORT_EVERY_S = 10.0
RAY_LOG = "ray.log"
"""File in the results for what Ray prints."""

Say = Callable[[str], None]
Rows = list[dict[str, Any]]


def distribute(
    root: Path, ledger: Ledger, settings: ArchiveSettings, options: ArchiveOptions, todo: Rows, say: Say
) -> int:
    """Denoise the series of ``todo`` and return the number of slices.

    However it ends, workers that ended with it leave nothing half-made.
    """
    left = {str(row["key"]) for row in todo}
    slices = 0
    try:
        with output_aside(ledger.out / RAY_LOG, say) as tell, ray_session(options.cluster) as ray:
            workers, shared = allocate_workers(ray, settings, options, len(todo))
            tell(f"{len(todo)} series to do, {counted(workers, 'worker')} of {counted(shared.threads, 'thread')}")
            progress = _Progress(len(todo), tell)
            for row in _results(ray, root, ledger.out, shared, workers, todo):
                left.discard(str(row["key"]))
                slices += row["slices"]
                progress.count(row)
    finally:
        for key in left:
            ledger.clear(key)
    return slices


def _results(
    ray: Any, root: Path, out: Path, settings: ArchiveSettings, workers: int, todo: Rows
) -> Iterator[dict[str, Any]]:
    """Yield the ledger entry of each series as it is finished."""
    each = {"num_gpus": 1} if settings.device == "cuda" else {"num_cpus": settings.threads}
    results = ray.data.from_items(todo, override_num_blocks=min(len(todo), MAX_BLOCKS)).map(
        Worker,
        fn_constructor_kwargs={"root": str(root), "out": str(out), "settings": settings},
        # One at a time: a series that waits in the queue of a busy worker cannot go to one that is free.
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        **each,
    )
    yield from results.iter_rows()


class _Progress:
    """Says every ten seconds, and at the end, how many series are done and how long the others will take."""

    def __init__(self, total: int, say: Say) -> None:
        self._total, self._say = total, say
        self._done = self._bad = self._slices = 0
        self._start = self._reported = time.monotonic()

    def count(self, row: dict[str, Any]) -> None:
        self._done += row["state"] == DONE
        self._bad += row["state"] == QUARANTINED
        self._slices += row["slices"]
        now, finished = time.monotonic(), self._done + self._bad
        left = self._total - finished
        if now - self._reported < REPORT_EVERY_S and left:
            return
        self._reported = now
        spent = max(now - self._start, 1e-9)
        self._say(
            f"{self._done} done, {self._bad} in quarantine, {left} left; {self._slices / spent:.2f} slices/s, "
            f"{int(spent * left / finished)} s left"
        )

"""Damage DICOM files at random and count what becomes of them; a failure is named with the seed that makes it again.

    python -m experiments.robustness.fuzz_dicom OUT.csv [--headers 20000] [--pixels 2000] [--first 0] [--jobs 2]
    python -m experiments.robustness.fuzz_dicom --show header 4711 FILE.dcm

A case that takes more than 30 s or 2 GiB, ends its process, or raises anything but lowdose's own errors has failed.
"""

from __future__ import annotations

import argparse
import csv
import logging
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from experiments.common.markdown import table
from experiments.robustness.case import DERIVED, FAILED, REFUSED, Cases, Kind, Outcome
from lowdose.logger import log

LIMIT_S = 30.0
LIMIT_BYTES = 2 << 30
"""Memory for a case, beyond what its worker has when it starts."""
OUTCOMES = (DERIVED, REFUSED, FAILED)


def run_cases(kind: Kind, seeds: Iterable[int], jobs: int = 1) -> Iterator[Outcome]:
    """Yield what became of each case, as it is known; a worker that dies or hangs is replaced."""
    left = iter(seeds)
    workers = [_Worker(kind) for _ in range(jobs)]
    try:
        for worker in workers:
            worker.begin(next(left, None))
        while busy := [worker for worker in workers if worker.seed is not None]:
            wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                outcome = worker.outcome()
                if outcome is not None:
                    yield outcome
                    worker.begin(next(left, None))
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that tries one case after the other."""

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind
        self.seed: int | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(self._kind, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.pipe.recv()  # it is ready

    def begin(self, seed: int | None) -> None:
        """Hand out a case; None for none."""
        self.seed, self._since = seed, time.monotonic()
        if seed is not None:
            self.pipe.send(seed)

    def outcome(self) -> Outcome | None:
        """Return what became of the case, None while it is not known."""
        assert self.seed is not None
        reason = f"longer than {LIMIT_S:g} s"
        if self.pipe.poll():
            try:
                return Outcome(*self.pipe.recv())
            except EOFError:
                self._process.join()
                reason = f"the process died (exit code {self._process.exitcode})"
        elif time.monotonic() - self._since < LIMIT_S:
            return None
        self.end()
        self._start()
        return Outcome(self._kind, self.seed, "", "", FAILED, reason)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _work(kind: Kind, pipe: Connection) -> None:
    torch.set_num_threads(1)
    log.addHandler(logging.NullHandler())
    log.propagate = False
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        cases = Cases(kind, Path(folder) / "case")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + LIMIT_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        pipe.send("ready")
        while True:
            pipe.send(tuple(cases.run(pipe.recv())))


def count(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return a row for each kind of damage, with the number of cases for each outcome; failures are printed."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for number, outcome in enumerate(outcomes, 1):
        counts[outcome.kind, outcome.mutation, outcome.outcome] += 1
        if outcome.outcome == FAILED:
            print(f"{outcome.kind} {outcome.seed} ({outcome.base}, {outcome.mutation}): {outcome.reason[:300]}")
        if number % 1000 == 0:
            print(f"{number} cases", file=sys.stderr)
    damages = sorted({key[:2] for key in counts})
    return [
        {"what": kind, "damage": damage.replace("_", " "), **{name: counts[kind, damage, name] for name in OUTCOMES}}
        for kind, damage in damages
    ]


def show(kind: Kind, seed: int, path: Path) -> None:
    """Write the damaged file of a seed."""
    base, mutation, data = Cases(kind, path.parent).damaged(seed)
    path.write_bytes(data)
    print(f"{path}: {base.name}, {mutation.__name__}; {'two sound slices beside it' if seed % 2 else 'by itself'}")


def main() -> None:
    """Run the cases, or write the file of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--headers", type=int, default=20_000)
    parser.add_argument("--pixels", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", nargs=3, metavar=("KIND", "SEED", "FILE"))
    given = parser.parse_args()
    if given.show:
        show(given.show[0], int(given.show[1]), Path(given.show[2]))
        return
    if given.out is None:
        parser.error("OUT.csv: where the counts go")
    rows = []
    kinds: dict[Kind, int] = {"header": given.headers, "pixels": given.pixels}
    for kind, cases in kinds.items():
        rows += count(run_cases(kind, range(given.first, given.first + cases), given.jobs))
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(table(list(rows[0]), [list(map(str, row.values())) for row in rows]))


if __name__ == "__main__":
    main()

"""Lock of a folder that a run fills under its final name: a training, an archive, a noise bank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lowdose.io.atomic import missing_parents, output_errors, remove_empty, remove_unfinished
from lowdose.io.run_lock import RunLock, Say

LOCK_FILE = ".lock"


@contextmanager
def locked_folder(folder: Path, files: Iterable[str], wait: Say | None = None) -> Iterator[None]:
    """Hold the lock of ``folder`` for as long as the block lasts.

    A folder that does not exist is created, and removed again when the block left nothing in it. files: names of those
    that the run replaces there; what a killed run left of them is removed. wait: told once when another run holds the
    lock, whose end is then waited for; without it, OutputRefused is raised.
    """
    created = missing_parents(folder / LOCK_FILE)
    lock = RunLock(folder / LOCK_FILE, folder)
    try:
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(wait)
        for name in files:
            remove_unfinished(folder, name)
        yield
    finally:
        lock.release()
        remove_empty(created)


def holds_more_than_lock(folder: Path) -> bool:
    """Whether a folder holds anything besides its lock."""
    return any(path.name != LOCK_FILE for path in folder.iterdir())

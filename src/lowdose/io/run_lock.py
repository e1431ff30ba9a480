"""Lock file of a run: it names host, process and time, and is free again once that process is gone.

The kernel holds the lock (flock) and releases it with the process, however that ends, so a file that a killed run left
behind locks nobody out. Some network file systems keep such locks to one machine, or have none. There a holder on
another machine is told by its file, which it touches every few seconds, and one on this machine by its process.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from lowdose.errors import OutputRefused

BEAT_S = 10.0
"""Seconds between two touches of a lock file by its holder."""
SILENT_S = 35.0
"""Seconds without a touch after which the holder on another machine counts as gone."""
POLL_S = 1.0

Say = Callable[[str], None]
_held: set[int] = set()


def _close_in_child() -> None:
    """Close what a forked process inherited: it would hold the lock for as long as it lives."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes
    ----------
    host : str
        Name of the machine.
    pid : int
        Process number there.
    since : str
        Local time at which the lock was taken.
    """

    host: str
    pid: int
    since: str

    @classmethod
    def this_process(cls) -> Holder:
        """Return this process, now."""
        return cls(socket.gethostname(), os.getpid(), datetime.now().isoformat(" ", "seconds"))

    def __str__(self) -> str:
        return f"a run on {self.host} (process {self.pid}, since {self.since})"


class RunLock:
    """Lock on ``subject``, kept in ``file``, whose folder must exist.

    ``acquire`` raises OutputRefused when another run holds it, or says so and waits where it is given ``wait``.
    """

    def __init__(self, file: Path, subject: Path) -> None:
        self._file, self._subject = file, subject
        self._descriptor: int | None = None
        self._released = threading.Event()
        self._toucher: threading.Thread | None = None

    def acquire(self, wait: Say | None = None) -> None:
        """Take the lock."""
        told = False
        while (holder := self._try()) is not None:
            if wait is None:
                raise OutputRefused(
                    f"{self._subject}: {holder} is writing it; wait for its end, stop it, or choose another output"
                )
            if not told:
                wait(f"{self._subject}: {holder} is writing it; waiting for its end")
                told = True
            time.sleep(POLL_S)

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        if self._descriptor is None or self._descriptor not in _held:  # not taken, or by the parent of this process
            return
        self._released.set()
        if self._toucher is not None:
            self._toucher.join()
        self._file.unlink(missing_ok=True)  # before the lock is free, so that nobody can have taken it
        _held.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _try(self) -> Holder | None:
        """Take the lock, or return who holds it."""
        while True:
            try:
                descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # the last holder left nothing in the folder, and removed it
                self._file.parent.mkdir(parents=True, exist_ok=True)
                continue
            try:
                holder = self._holder(descriptor)
                if holder is None and _is_open_file(self._file, descriptor):
                    self._keep(descriptor)
                    return None
            finally:
                if descriptor != self._descriptor:
                    os.close(descriptor)
            if holder is not None:
                return holder

    def _holder(self, descriptor: int) -> Holder | None:
        """Return who holds the lock; None when this process got it."""
        kernel_locks = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(descriptor) or Holder("this machine or another", 0, "now")
        except OSError:  # this file system has no locks
            kernel_locks = False
        before = _read(descriptor)
        if before is None:
            return None
        if before.host != socket.gethostname():
            return before if _is_touched(self._file) else None
        return before if not kernel_locks and _is_running(before.pid) else None

    def _keep(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(Holder.this_process())).encode(), 0)
        self._descriptor = descriptor
        _held.add(descriptor)
        self._released.clear()
        self._toucher = threading.Thread(target=self._touch, args=(descriptor,), name="run-lock", daemon=True)
        self._toucher.start()

    def _touch(self, descriptor: int) -> None:
        while not self._released.wait(BEAT_S):
            with suppress(OSError):  # the server may be away for a while
                os.utime(descriptor)


def _read(descriptor: int) -> Holder | None:
    """Return what a lock file says; None for an empty one, or one that is torn."""
    try:
        found = json.loads(os.pread(descriptor, 1 << 12, 0))
        return Holder(str(found["host"]), int(found["pid"]), str(found["since"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _is_open_file(file: Path, descriptor: int) -> bool:
    """Return whether a file is still the open one: its last holder may have removed it in between."""
    try:
        there, opened = file.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)


def _is_touched(file: Path) -> bool:
    """Watch for a while whether a holder on another machine touches its file; the clocks need not agree."""
    first, deadline = _touched_at(file), time.monotonic() + SILENT_S
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        if (now := _touched_at(file)) != first:
            return now is not None
    return False


def _touched_at(file: Path) -> int | None:
    try:
        with file.open("rb") as opened:  # opening it asks the server, where a mere stat may answer from a cache
            return os.fstat(opened.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

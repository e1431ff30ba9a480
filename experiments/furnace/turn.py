"""One turn of a job: a training process at the lowest priority, from its last state, until it ends or is stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from experiments.furnace.jobs import Job
from experiments.furnace.state import Furnace, JobFolder, locked

STOPPED = 130
"""Exit code of a training that saved its state after a signal."""
PR_SET_PDEATHSIG = 1


class Turn:
    """A training process. It ends by itself when the process that started it dies, having saved its state.

    Attributes
    ----------
    resumed : bool
        Whether it goes on from a saved state.
    """

    def __init__(self, furnace: Furnace, job: Job, environment: Mapping[str, str] | None = None) -> None:
        self.folder = furnace.job(job.name)
        self.folder.folder.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self.folder.folder / "lock", f"job '{job.name}'")
        descriptor = self._lock.__enter__()
        self._stopping = False
        self.resumed = self.folder.state.exists()
        self.folder.keep_state()
        arguments = job.arguments(furnace.training_set(job.data), furnace.noise_bank, self.folder.run, self.resumed)
        with self.folder.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lowdose", *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[descriptor], start_new_session=True, preexec_fn=_lowest_priority, env=environment,
            )  # fmt: skip

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        code = self.process.poll()
        if code is not None and self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None  # type: ignore[assignment]
        return code

    def stop(self) -> None:
        """Ask it to save and end; once, since a second signal would end it without saving."""
        if not self._stopping:
            self._stopping = True
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)

    def freeze(self, frozen: bool) -> None:
        """Hold the process where it is, or let it go on."""
        self._signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


def _lowest_priority() -> None:
    """Run in the new process: take the lowest priority, and be asked to end when the parent dies."""
    os.nice(19)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""


def recover(folder: JobFolder, message: str) -> str | None:
    """Return why a job cannot go on after a failed turn; None where another turn may succeed.

    A damaged state is replaced by the one before it.
    """
    if "damaged training state" in message and folder.previous_state.exists():
        damaged = folder.state.with_suffix(".damaged")
        folder.state.replace(damaged)
        folder.previous_state.replace(folder.state)
        return None
    if "damaged training state" in message or "cannot resume" in message:
        return f"{message}; 'restart' begins anew from the latest weights of this job"
    return None

"""One turn of a job: a training process at the lowest priority, from its last state, until it ends or is stopped."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from experiments.furnace.jobs import Job
from experiments.furnace.priority import lowest_priority
from experiments.furnace.state import Furnace, JobFolder, Progress, locked
from experiments.furnace.validate import Validation

log = logging.getLogger("furnace")
COMPLETE, STOPPED = 0, (130, -signal.SIGTERM)
"""Exit codes of a training that is complete, and of one that a signal ended."""
MOST_FAILURES = 3
VALIDATE_HOURS = 1 / 3
SAVE_SECONDS = 60.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


class Turn:
    """A training process. It saves its state and ends by itself when the process that started it dies.

    Attributes
    ----------
    job : Job
        The job.
    seconds : float
        Seconds of training in this turn.
    ended, failed : bool
        Whether it is over, and its result written down; whether it failed.
    """

    def __init__(self, furnace: Furnace, job: Job) -> None:
        self.job, self.seconds, self.ended, self.failed = job, 0.0, False, False
        self._folder, self._validation = furnace.job(job.name), Validation(furnace, job.recipe)
        self._folder.folder.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self._folder.folder / "lock", f"job '{job.name}'")
        descriptor = self._lock.__enter__()
        self._progress = self._begin()
        self._stopping = self._frozen = False
        self._last = self._saved = time.monotonic()
        arguments = job.arguments(
            furnace.training_set(job.data), furnace.noise_bank(job.bank), self._folder.run, self._folder.state.exists()
        )
        with self._folder.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lowdose", *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=[descriptor], start_new_session=True, preexec_fn=lowest_priority,
                env={**os.environ, **ONE_THREAD, **furnace.python_path}, cwd=furnace.folder,
            )  # fmt: skip

    def _begin(self) -> Progress:
        progress = self._folder.progress()
        progress.status = "running"
        if self._folder.state.exists():
            log.info("%s: goes on after %.1f hours", self.job.name, progress.hours)
        else:
            weights = f"the shipped weights of '{self.job.start}'" if self.job.start else "random weights"
            progress.message = f"no state: starts from {weights}"
            log.info("%s: %s", self.job.name, progress.message)
        self._folder.save(progress)
        return progress

    def follow(self, paused: bool) -> None:
        """Count the time since the last call, validate where it is due, and write down the result at the end."""
        now = time.monotonic()
        if self._process.poll() is None and not self._frozen:
            self.seconds += now - self._last
            self._progress.hours += (now - self._last) / 3600
        self._last = now
        if paused != self._frozen:
            self._freeze(paused)
        if now - self._saved > SAVE_SECONDS:
            self._saved = now
            self._folder.save(self._progress)
        due = self._progress.hours - self._progress.validated > VALIDATE_HOURS and not paused
        self._validation.advance(self._folder, self._progress, due)
        if self._process.poll() is not None and not self._validation.busy:
            self._finish()

    def stop(self) -> None:
        """Ask it to save and end; once, since a second signal would end it without saving."""
        if not self._stopping:
            self._stopping = True
            self._signal(signal.SIGTERM)
            self._freeze(False)

    def _freeze(self, frozen: bool) -> None:
        """Hold the process where it is, or let it go on."""
        if frozen != self._frozen:
            log.info("%s: %s", self.job.name, "paused" if frozen else "goes on")
        self._frozen = frozen
        self._signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _finish(self) -> None:
        code, progress = self._process.returncode, self._progress
        if code == COMPLETE and progress.status == "running":
            progress.status, progress.message, progress.failures = "done", "complete", 0
            self._folder.save(progress)
            self._validation.start(self._folder, progress)
            return  # and finish once the final weights are validated
        if code == COMPLETE or code in STOPPED:
            self._folder.keep_state()
        if code in STOPPED:
            progress.status, progress.failures = "waiting", 0
        elif code != COMPLETE:
            self.failed = True
            _fail(self._folder, progress, last_line(self._folder.log) or f"exit code {code}")
        self._folder.save(progress)
        self._lock.__exit__(None, None, None)
        self.ended = True
        reason = f" ({progress.message})" if progress.message else ""
        log.info("%s: %s after %.2f hours%s", self.job.name, progress.status, progress.hours, reason)


def last_line(path: Path) -> str:
    """Return the last line of a log that says something."""
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""


def _fail(folder: JobFolder, progress: Progress, message: str) -> None:
    """Note a failure. A job that cannot go on, or has failed three times in a row, is blocked.

    A damaged state is replaced by the one before it.
    """
    progress.failures += 1
    progress.status, progress.message = "waiting", message
    if "damaged training state" in message and folder.previous_state.exists():
        folder.state.replace(folder.state.with_suffix(".damaged"))
        folder.previous_state.replace(folder.state)
    elif "damaged training state" in message or "cannot resume" in message:
        progress.status = "blocked"
        progress.message = f"{message}; 'restart' begins anew from the weights that the job starts with"
    elif progress.failures >= MOST_FAILURES and "No space left" not in message:
        progress.status = "blocked"
        progress.message = f"{message} (three times in a row; 'retry' goes on from the last state)"

"""The queue: which job trains next, for how long, and what is written down about it."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.furnace.jobs import TRAINING_SETS, BadJobs, Job, load_jobs
from experiments.furnace.state import Furnace, JobFolder, Progress
from experiments.furnace.turn import STOPPED, Turn, last_line, recover
from experiments.furnace.validate import Validation

log = logging.getLogger("furnace")
TURN_HOURS, VALIDATE_HOURS = 1.0, 1 / 3
MOST_FAILURES = 3
SAVE_SECONDS = 60.0
POLL_SECONDS = 1.0


def choose(jobs: Sequence[Job], furnace: Furnace) -> Job | None:
    """Return the job whose turn it is: short ones in order, else the one with the fewest hours for its share."""
    open_jobs = [job for job in jobs if furnace.job(job.name).progress().status in ("waiting", "running")]
    short = [job for job in open_jobs if job.short]
    if short:
        return short[0]
    return min(open_jobs, key=lambda job: furnace.job(job.name).progress().hours / job.share, default=None)


class Runner:
    """Trains the jobs one after the other until none is left or ``stopping`` is set.

    Attributes
    ----------
    stopping : bool
        Whether to end, after saving.
    """

    def __init__(self, furnace: Furnace, read_jobs: Callable[[], list[Job]] = load_jobs) -> None:
        self.furnace, self._read_jobs = furnace, read_jobs
        self.stopping = False
        self._jobs: list[Job] = []

    def run(self) -> None:
        """Run turns until no job is open."""
        while not self.stopping:
            job = choose(self._current_jobs(), self.furnace)
            if job is None:
                log.info("no job is open")
                return
            self._take_turn(job)

    def _current_jobs(self) -> list[Job]:
        """Read the list again, so that jobs can be added; a list that cannot be read changes nothing."""
        try:
            self._jobs = self._read_jobs()
        except BadJobs as error:
            log.warning("%s; the jobs stay as they are", error)
        return self._jobs

    def _take_turn(self, job: Job) -> None:
        folder = self.furnace.job(job.name)
        progress = folder.progress()
        turn = Turn(self.furnace, job)
        progress.status = "running"
        if turn.resumed:
            log.info("%s: goes on after %.1f hours", job.name, progress.hours)
        else:
            weights = f"the shipped weights of '{job.start}'" if job.start else "random weights"
            progress.message = f"no state: starts from {weights}"
            log.info("%s: %s", job.name, progress.message)
        folder.save(progress)
        self._follow(turn, job)
        self._finish(turn, job)

    def _follow(self, turn: Turn, job: Job) -> None:
        """Count the hours of a turn, and validate, until it ends."""
        folder, validation = turn.folder, Validation(self.furnace)
        progress = folder.progress()
        begun = saved = last = time.monotonic()
        frozen = False
        while turn.poll() is None:
            time.sleep(POLL_SECONDS)
            now = time.monotonic()
            if not frozen:
                progress.hours += (now - last) / 3600
            last = now
            if self.furnace.paused() != frozen:
                frozen = not frozen
                turn.freeze(frozen)
                log.info("%s: %s", job.name, "paused" if frozen else "goes on")
            if frozen and not self.stopping:
                continue
            if now - saved > SAVE_SECONDS:
                saved = now
                folder.save(progress)
                if self._ends(job, now - begun):
                    turn.stop()
            if self.stopping:
                turn.stop()
            validation.advance(folder, progress, due=progress.hours - progress.validated > VALIDATE_HOURS)
        validation.wait(folder, progress)
        folder.save(progress)

    def _ends(self, job: Job, seconds: float) -> bool:
        """Return whether the turn is over: another long job waits for an hour, or a short one was added."""
        if job.short:
            return False
        others = [other for other in self._current_jobs() if other.name != job.name]
        waiting = choose(others, self.furnace)
        return waiting is not None and (waiting.short or seconds > TURN_HOURS * 3600)

    def _finish(self, turn: Turn, job: Job) -> None:
        folder, code = turn.folder, turn.process.returncode
        progress = folder.progress()
        if code == 0:
            progress.status, progress.message, progress.failures = "done", "complete", 0
            folder.save(progress)
            Validation(self.furnace).now(folder, progress)
        elif code in (STOPPED, -15):
            progress.status, progress.failures = "waiting", 0
        else:
            _fail(folder, progress, last_line(folder.log) or f"exit code {code}")
        folder.save(progress)
        reason = f" ({progress.message})" if progress.message else ""
        log.info("%s: %s after %.2f hours%s", job.name, progress.status, progress.hours, reason)


def _fail(folder: JobFolder, progress: Progress, message: str) -> None:
    """Note a failure; a job that cannot go on, or has failed three times in a row, is blocked."""
    progress.failures += 1
    reason = recover(folder, message)
    progress.status = "blocked" if reason or progress.failures >= MOST_FAILURES else "waiting"
    progress.message = reason or message


def prepare(furnace: Furnace, jobs: Sequence[Job], ct: Path | None) -> None:
    """Build the training sets and the validation set where they are missing; takes minutes."""
    for name in dict.fromkeys(job.data for job in jobs):
        pack = furnace.training_set(name)
        if not pack.exists():
            log.info("building %s", name)
            packed = furnace.folder / f"{name}.zip"
            folders = [ct / part for part in TRAINING_SETS[name]] if ct else []
            _python("experiments.furnace.training_set", "build", packed, *folders)
            _python("experiments.furnace.training_set", "unpack", packed, pack)
    if not furnace.validation_set.exists():
        log.info("building the validation set")
        _python("experiments.furnace.validation_set", furnace.validation_set, *([ct] if ct else []))


def _python(module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True)


def restart(furnace: Furnace, job: Job) -> str:
    """Move the run of a job aside, so that its next turn begins anew; return what it starts from."""
    folder = furnace.job(job.name)
    number = 1 + sum(1 for _ in folder.folder.glob("run-*"))
    if folder.run.exists():
        folder.run.rename(folder.folder / f"run-{number}")
    for old in (folder.previous_state, folder.folder / "progress.json"):
        old.unlink(missing_ok=True)
    if folder.curve.exists():
        shutil.move(folder.curve, folder.folder / f"validation-{number}.csv")
    return f"{job.name}: starts anew; its old run is {folder.folder / f'run-{number}'}"

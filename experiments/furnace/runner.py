"""The queue: which jobs train now, for how long, and what is written down about them.

One job trains on each core, with one thread: two processes of one thread do twice the work of one of two threads, above
all beside other programs, where threads wait for each other.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.furnace.jobs import TRAINING_SETS, BadJobs, Job, load_jobs
from experiments.furnace.state import Furnace
from experiments.furnace.turn import Turn

log = logging.getLogger("furnace")
TURN_HOURS = 1.0
POLL_SECONDS = 1.0
REST_SECONDS = 300.0
"""A job that failed is tried again after this time, for example when the disk has room again."""


def choose(jobs: Sequence[Job], furnace: Furnace) -> Job | None:
    """Return the job whose turn it is: short ones in order, else the one with the fewest hours for its share."""
    open_jobs = [job for job in jobs if furnace.job(job.name).progress().status in ("waiting", "running")]
    short = [job for job in open_jobs if job.short]
    if short:
        return short[0]
    return min(open_jobs, key=lambda job: furnace.job(job.name).progress().hours / job.share, default=None)


class Runner:
    """Trains the jobs until none is left or ``stopping`` is set.

    Parameters
    ----------
    furnace : Furnace
        Where the state lies.
    read_jobs : callable
        Reads the list of jobs, again and again, so that jobs can be added.
    slots : int
        Jobs that train at the same time.

    Attributes
    ----------
    stopping : bool
        Whether to end, after saving.
    """

    def __init__(
        self, furnace: Furnace, read_jobs: Callable[[], list[Job]] = load_jobs, slots: int | None = None
    ) -> None:
        self.furnace, self._read_jobs, self._slots = furnace, read_jobs, slots or os.cpu_count() or 1
        self.stopping = False
        self._jobs: list[Job] = []
        self._turns: list[Turn] = []
        self._resting: dict[str, float] = {}

    def run(self) -> None:
        """Run turns until no job is open, or until all have ended after ``stopping`` was set."""
        while True:
            if not self.stopping:
                self._start_turns()
            if not self._turns and (self.stopping or not (self._resting or self.furnace.paused())):
                log.info("stopped" if self.stopping else "no job is open")
                return
            time.sleep(POLL_SECONDS)
            paused = self.furnace.paused() and not self.stopping
            for turn in list(self._turns):
                turn.follow(paused)
                if turn.ended:
                    self._turns.remove(turn)
                    if turn.failed:
                        self._resting[turn.job.name] = time.monotonic() + REST_SECONDS
                elif self.stopping or self._is_over(turn):
                    turn.stop()

    def _start_turns(self) -> None:
        while len(self._turns) < self._slots and not self.furnace.paused():
            job = choose(self._waiting(), self.furnace)
            if job is None:
                return
            self._turns.append(Turn(self.furnace, job))

    def _is_over(self, turn: Turn) -> bool:
        """Return whether another job is to take the place: a short one, or any one after an hour."""
        if turn.job.short:
            return False
        other = choose(self._waiting(), self.furnace)
        return other is not None and (other.short or turn.seconds > TURN_HOURS * 3600)

    def _waiting(self) -> list[Job]:
        """Return the jobs that do not train now; a list that cannot be read leaves the jobs as they are."""
        try:
            self._jobs = self._read_jobs()
        except BadJobs as error:
            log.warning("%s; the jobs stay as they are", error)
        now = time.monotonic()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        busy = {turn.job.name for turn in self._turns} | set(self._resting)
        return [job for job in self._jobs if job.name not in busy]


def copy_code(furnace: Furnace) -> None:
    """Copy the code, so that trainings and validations run what there was when the furnace began.

    A checkout that changes while they run would break them, or mix two versions in one.
    """
    root = Path(__file__).resolve().parents[2]
    new = furnace.code.with_name("code.new")
    shutil.rmtree(new, ignore_errors=True)
    for part in ("src", "experiments"):
        shutil.copytree(root / part, new / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.rmtree(furnace.code, ignore_errors=True)
    new.rename(furnace.code)


def prepare(furnace: Furnace, jobs: Sequence[Job], ct: Path | None) -> None:
    """Build the training sets and the validation set where they are missing; takes minutes."""
    for name in dict.fromkeys(job.data for job in jobs):
        pack = furnace.training_set(name)
        if not pack.exists():
            log.info("building %s", name)
            packed = furnace.folder / f"{name}.zip"
            source = TRAINING_SETS[name]
            folders = [ct / part for part in source.folders] if ct else []
            option = ["--whole-runs"] if source.whole_runs else []
            _python("experiments.furnace.training_set", "build", packed, *folders, *option)
            _python("experiments.furnace.training_set", "unpack", packed, pack)
    _build_noise(furnace, jobs[0])  # other banks are built by the jobs that need them
    if not furnace.validation_set.exists():
        log.info("building the validation set")
        _python("experiments.furnace.validation_set", furnace.validation_set, *([ct] if ct else []))


def _build_noise(furnace: Furnace, job: Job) -> None:
    """Simulate the noise that a job needs on all cores, since each job has one: a training of one step does it."""
    bank = furnace.noise_bank(job.bank)
    complete = bank / "complete"
    if not complete.exists():
        log.info("simulating the noise of %s", job.bank)
        with TemporaryDirectory() as scratch:
            one_step = replace(job, set={**job.set, "steps": 1})
            arguments = one_step.arguments(furnace.training_set(job.data), bank, Path(scratch) / "run", resume=False)
            _python("lowdose", *arguments)
        complete.touch()


def _python(module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True)


def retry(furnace: Furnace, job: Job) -> str:
    """Open a blocked job again, from its last state."""
    folder = furnace.job(job.name)
    progress = folder.progress()
    progress.status, progress.failures = "waiting", 0
    folder.save(progress)
    return f"{job.name}: goes on from its last state"


def restart(furnace: Furnace, job: Job) -> str:
    """Move the run of a job aside, so that its next turn begins anew; return a sentence that says where it is."""
    folder = furnace.job(job.name)
    number = 1 + sum(1 for _ in folder.folder.glob("run-*"))
    if folder.run.exists():
        folder.run.rename(folder.folder / f"run-{number}")
    if folder.curve.exists():
        folder.curve.rename(folder.folder / f"validation-{number}.csv")
    for old in (folder.previous_state, folder.progress_file):
        old.unlink(missing_ok=True)
    return f"{job.name}: starts anew; its old run is {folder.folder / f'run-{number}'}"

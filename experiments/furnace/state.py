"""What the furnace keeps on disk, outside the checkout: data, runs, progress and validation curves of its jobs."""

from __future__ import annotations

import csv
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lowdose.errors import LowDoseError
from lowdose.io.atomic_replace import replace_file
from lowdose.training.runner import MODEL_FILE
from lowdose.training.trainer import STATE_FILE

log = logging.getLogger("furnace")
ENVIRONMENT = "LOWDOSE_FURNACE"
CURVE = "validation.csv"


class Busy(Exception):
    """Another process holds a lock."""


@dataclass
class Progress:
    """Progress of one job.

    Attributes
    ----------
    hours : float
        Hours of training.
    status : str
        'waiting', 'running', 'done' or 'blocked'.
    message : str
        Last message of the job: where it started, or why it failed.
    failures : int
        Failures since the last turn that went well.
    validated : float
        Hours of training at the last validation.
    """

    hours: float = 0.0
    status: str = "waiting"
    message: str = ""
    failures: int = 0
    validated: float = 0.0


class Furnace:
    """Folder of the furnace; ``$LOWDOSE_FURNACE``, or below the user's cache."""

    def __init__(self, folder: Path | None = None) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.folder = folder or Path(os.environ.get(ENVIRONMENT) or cache / "lowdose/furnace")
        self.folder.mkdir(parents=True, exist_ok=True)

    def training_set(self, name: str) -> Path:
        """Return the pack of a training set."""
        return self.folder / f"{name}.pack"

    @property
    def validation_set(self) -> Path:
        """The validation slices."""
        return self.folder / "validation_set"

    def noise_bank(self, name: str) -> Path:
        """Return a folder of simulated noise."""
        return self.folder / name

    @property
    def code(self) -> Path:
        """Copy of the code, which the jobs run."""
        return self.folder / "code"

    @property
    def python_path(self) -> dict[str, str]:
        """Environment in which Python finds that copy."""
        return {"PYTHONPATH": f"{self.code / 'src'}:{self.code}"}

    @property
    def log(self) -> Path:
        """Log of the furnace."""
        return self.folder / "furnace.log"

    @property
    def pause_file(self) -> Path:
        """File that pauses the furnace for as long as it exists; it may hold the number of a process."""
        return self.folder / "paused"

    def job(self, name: str) -> JobFolder:
        """Return the folder of a job."""
        return JobFolder(self.folder / "jobs" / name)

    def paused(self) -> bool:
        """Return whether training is to pause: not for a process that has ended."""
        try:
            text = self.pause_file.read_text().strip()
        except FileNotFoundError:
            return False
        if text.isdigit() and not Path(f"/proc/{text}").exists():
            self.pause_file.unlink(missing_ok=True)
            return False
        return True

    @contextmanager
    def pause_while(self) -> Iterator[None]:
        """Pause training while the block runs, and if it dies."""
        self.pause_file.write_text(f"{os.getpid()}\n")
        try:
            yield
        finally:
            self.pause_file.unlink(missing_ok=True)


class JobFolder:
    """Folder of one job: its run, progress and validation curve."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run, self.best = folder / "run", folder / "best.safetensors"
        self.model, self.state = self.run / MODEL_FILE, self.run / STATE_FILE
        self.previous_state = folder / "previous_state.pt"
        self.progress_file = folder / "progress.json"
        self.curve, self.log = folder / CURVE, folder / "train.log"

    def progress(self) -> Progress:
        """Read the progress; that of a new job when there is none or the file is damaged."""
        try:
            content = json.loads(self.progress_file.read_text())
            return Progress(**{item.name: content[item.name] for item in fields(Progress)})
        except (OSError, ValueError, KeyError, TypeError):
            return Progress()

    def save(self, progress: Progress) -> None:
        """Write the progress atomically; where that is impossible, as on a full disk, only say so."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self.progress_file, json.dumps(asdict(progress), indent=1).encode())
        except (OSError, LowDoseError) as error:
            log.warning("%s: its progress cannot be written (%s)", self.folder.name, error)

    def keep_state(self) -> None:
        """Copy the training state, which must be sound, so that it can replace one that is damaged later."""
        if self.state.exists():
            replace_file(self.previous_state, self.state.read_bytes())

    def add_validation(self, row: Mapping[str, float]) -> None:
        """Append a row to the validation curve."""
        new = not self.curve.exists()
        with self.curve.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})

    def validations(self) -> list[dict[str, float]]:
        """Return the rows of the validation curve."""
        if not self.curve.exists():
            return []
        with self.curve.open(newline="") as file:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


@contextmanager
def locked(path: Path, what: str) -> Iterator[int]:
    """Hold a lock that ends with the process that holds it; yields its file descriptor. Raises Busy.

    A child that inherits the descriptor holds the lock, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Busy(f"{what} runs already (process {holder})") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)

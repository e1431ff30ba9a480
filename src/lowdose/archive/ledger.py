"""The state of every series of an archive: one small file each, so that any number of workers may write."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lowdose.errors import OutputRefused
from lowdose.io.atomic_replace import replace_file
from lowdose.io.dicom.series_identity import uid_of

STARTED, DONE, QUARANTINED = "started", "done", "quarantined"
KEY_LENGTH = 16
KEY_PREFIXES = [f"{number:02x}" for number in range(256)]


def key_of(series: str, folder: str) -> str:
    """Return a short name of a series that reveals no patient; ``folder`` stands in where a series has no UID."""
    return hashlib.sha256((series or folder).encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True)
class LedgerEntry:
    """What became of one series.

    Attributes
    ----------
    key : str
        Name of the series in the ledger.
    series : str
        SeriesInstanceUID, with an addition where that does not tell series apart; '' for none.
    folders : tuple of str
        Where its files lie, relative to the archive.
    state : {"started", "done", "quarantined"}
        What became of it.
    attempts : int
        Attempts begun so far.
    slices : int
        Slices that were written.
    seconds : float
        Time of the last attempt.
    reason : str
        Why it is in quarantine.
    """

    key: str
    series: str
    folders: tuple[str, ...]
    state: str
    attempts: int
    slices: int = 0
    seconds: float = 0.0
    reason: str = ""


class Ledger:
    """The results folder of an archive: ledger/KE/KEY.json and series/KE/KEY/ for each series, and settings.json.

    KE are the first two letters of KEY, for file systems that are slow with a million names in one folder. Reading
    and writing raise OutputRefused where the file system refuses.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.entries, self.series = out, out / "ledger", out / "series"

    def open(self, settings: Mapping[str, object]) -> None:
        """Make the folders. Raises OutputRefused when they hold results of other settings, or something else."""
        file = self.out / "settings.json"
        try:
            if not file.is_file():
                if self.out.exists() and any(self.out.iterdir()):
                    raise OutputRefused(f"{self.out}: holds something else; choose a new folder for the results")
                for prefix in KEY_PREFIXES:
                    (self.entries / prefix).mkdir(parents=True)
                    (self.series / prefix).mkdir(parents=True)
                replace_file(file, json.dumps(settings, indent=2).encode())
            before = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise OutputRefused(f"{self.out}: cannot be used for results ({error}); choose a new folder") from error
        if before != json.loads(json.dumps(settings)):
            names = [f"{name} was {before.get(name)}, now {value}" for name, value in settings.items()
                     if before.get(name) != value]  # fmt: skip
            raise OutputRefused(
                f"{self.out}: holds results of other settings ({'; '.join(names)}); choose a new folder"
            )

    def output(self, key: str) -> Path:
        """Return the folder of a series' result."""
        return self.series / key[:2] / key

    def note(self, key: str) -> Path:
        """Return the file of a series' entry."""
        return self.entries / key[:2] / f"{key}.json"

    def read(self, key: str) -> LedgerEntry | None:
        """Read an entry; None where there is none yet, or the file is torn."""
        try:
            found = json.loads(self.note(key).read_text())
            return LedgerEntry(**{**found, "folders": tuple(found["folders"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, entry: LedgerEntry) -> None:
        """Write an entry, replacing the one before."""
        replace_file(self.note(entry.key), json.dumps(asdict(entry), indent=2).encode())

    def all(self) -> Iterator[LedgerEntry]:
        """Yield every entry in the order of the keys."""
        for prefix in KEY_PREFIXES:
            for path in sorted((self.entries / prefix).glob("*.json")):
                entry = self.read(path.stem)
                if entry:
                    yield entry

    def complete(self, key: str, series: str) -> int | None:
        """Return the number of slices of a finished result, entered or not; None where it is not finished.

        A result's folder appears whole, and holds its manifest.
        """
        try:
            found = json.loads((self.output(key) / "manifest.json").read_text())
            return int(found["slices"]) if found["input"]["series"] == uid_of(series) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def clear(self, key: str = "") -> int:
        """Remove unfinished output of workers that died, of one series or of all; return how many there were."""
        left = list(self.series.glob(f"{key[:2] or '*'}/.{key}*.partial-*"))
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        return len(left)

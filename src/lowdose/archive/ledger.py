"""What became of every series of an archive: one small file each, so that any number of workers may write."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lowdose.errors import OutputRefused
from lowdose.io.atomic_replace import replace_file

STARTED, DONE, QUARANTINED = "started", "done", "quarantined"
KEY_LENGTH = 16
SHELVES = [f"{number:02x}" for number in range(256)]


def key_of(series: str, folder: str) -> str:
    """A short name of a series that tells nothing of the patient. folder: stands in where a series has no UID."""
    return hashlib.sha256((series or folder).encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True)
class LedgerEntry:
    """state: started, done or quarantined. attempts: begun so far. seconds: of the last one.

    reason: why it is in quarantine. folders: where the series lies, relative to the archive.
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
    """The folder of an archive's results: ledger/KE/KEY.json and series/KE/KEY/ for each series, settings.json for all.

    KE: the first two letters of KEY, for file systems that do not like a million names in one folder.

    Reading and writing raise OutputRefused where the file system refuses.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.entries, self.series = out, out / "ledger", out / "series"

    def open(self, settings: Mapping[str, object]) -> None:
        """Makes the folders. Raises OutputRefused when they hold results of other settings, or something else."""
        noted = self.out / "settings.json"
        try:
            if not noted.is_file():
                if self.out.exists() and any(self.out.iterdir()):
                    raise OutputRefused(f"{self.out}: holds something else; choose a new folder for the results")
                for shelf in SHELVES:
                    (self.entries / shelf).mkdir(parents=True)
                    (self.series / shelf).mkdir(parents=True)
                replace_file(noted, json.dumps(settings, indent=2).encode())
            before = json.loads(noted.read_text())
        except (OSError, ValueError) as error:
            raise OutputRefused(f"{self.out}: cannot be used for results ({error}); choose a new folder") from error
        if before != json.loads(json.dumps(settings)):
            names = [f"{name} was {before.get(name)}, now {value}" for name, value in settings.items()
                     if before.get(name) != value]  # fmt: skip
            raise OutputRefused(
                f"{self.out}: holds results of other settings ({'; '.join(names)}); choose a new folder"
            )

    def output(self, key: str) -> Path:
        return self.series / key[:2] / key

    def note(self, key: str) -> Path:
        return self.entries / key[:2] / f"{key}.json"

    def read(self, key: str) -> LedgerEntry | None:
        """None where nothing was noted yet, or the note is torn."""
        try:
            found = json.loads(self.note(key).read_text())
            return LedgerEntry(**{**found, "folders": tuple(found["folders"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, entry: LedgerEntry) -> None:
        replace_file(self.note(entry.key), json.dumps(asdict(entry), indent=2).encode())

    def all(self) -> Iterator[LedgerEntry]:
        """Every entry, one at a time, in the order of the keys."""
        for shelf in SHELVES:
            for path in sorted((self.entries / shelf).glob("*.json")):
                entry = self.read(path.stem)
                if entry:
                    yield entry

    def complete(self, key: str, series: str) -> int | None:
        """Number of slices of a result that is there whole, though nobody may have noted it; None where it is not.

        A result's folder appears whole, and holds its manifest.
        """
        try:
            found = json.loads((self.output(key) / "manifest.json").read_text())
            return int(found["slices"]) if found["input"]["series"] == series else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def clear(self, key: str = "") -> int:
        """Removes what workers that died left half-made, of one series or of all; returns how many there were."""
        left = list(self.series.glob(f"{key[:2] or '*'}/.{key}*.partial-*"))
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        return len(left)

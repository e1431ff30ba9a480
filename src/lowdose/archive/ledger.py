"""The state of every series of an archive: one small file each, so that any number of workers may write."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path, PurePosixPath

from lowdose.errors import LowDoseError, OutputRefused
from lowdose.io.atomic import lock_path, output_errors, remove_empty, remove_unfinished
from lowdose.io.atomic_replace import replace_file
from lowdose.io.dicom.series_identity import uid_of
from lowdose.io.locked_folder import holds_more_than_lock
from lowdose.io.run_lock import RunLock

STARTED, DONE, QUARANTINED = "started", "done", "quarantined"
KEY_LENGTH = 16
SHORT_KEY = 8
SETTINGS = "settings.json"


def key_of(series: str, folder: str) -> str:
    """Return a short name of a series that reveals no patient; ``folder`` stands in where a series has no UID."""
    return hashlib.sha256((series or folder).encode()).hexdigest()[:KEY_LENGTH]


def result_place(key: str, folders: Collection[str], hashed: bool) -> str:
    """Return where the result of a series goes, relative to the results: as its files lie in the archive.

    Files in several folders go to the folder that holds all of these. hashed: no name of the archive's own is used.
    """
    if hashed:
        return f"series/{key[:2]}/{key}"
    return str(PurePosixPath("series", os.path.commonpath(folders), f"series-{key[:SHORT_KEY]}"))


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
    result : str
        Folder of its result, relative to the results.
    """

    key: str
    series: str
    folders: tuple[str, ...]
    state: str
    attempts: int
    slices: int = 0
    seconds: float = 0.0
    reason: str = ""
    result: str = ""

    @property
    def place(self) -> str:
        """Folder of its result, relative to the results; entries of earlier versions do not state it."""
        return self.result or result_place(self.key, self.folders, hashed=True)


class Ledger:
    """The results folder of an archive: ledger/KE/KEY.json for each series, its result, and settings.json.

    KE are the first two letters of KEY, for file systems that are slow with a million names in one folder. Reading
    and writing raise OutputRefused where the file system refuses.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.entries = out, out / "ledger"

    @property
    def begun(self) -> bool:
        """Whether there are results already, or the beginning of them."""
        return (self.out / SETTINGS).is_file()

    def check(self, settings: Mapping[str, object]) -> None:
        """Raise OutputRefused when the folder, which must exist, holds results of other settings, or other things."""
        try:
            if not self.begun:
                if holds_more_than_lock(self.out):
                    raise OutputRefused(f"{self.out}: holds something else; choose a new folder for the results")
                return
            before = json.loads((self.out / SETTINGS).read_text())
        except (OSError, ValueError) as error:
            raise OutputRefused(f"{self.out}: cannot be used for results ({error}); choose a new folder") from error
        now = json.loads(json.dumps(settings))
        if before != now:
            names = [f"{name} was {before.get(name)}, now {now.get(name)}" for name in before | now
                     if before.get(name) != now.get(name)]  # fmt: skip
            raise OutputRefused(
                f"{self.out}: holds results of other settings ({'; '.join(names)}); choose a new folder"
            )

    def begin(self, settings: Mapping[str, object]) -> None:
        """State the settings that all results share."""
        if not self.begun:
            replace_file(self.out / SETTINGS, json.dumps(settings, indent=2).encode())

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
        with output_errors(self.out):
            self.note(entry.key).parent.mkdir(parents=True, exist_ok=True)
        replace_file(self.note(entry.key), json.dumps(asdict(entry), indent=2).encode())

    def all(self, leave_out: Collection[str] = ()) -> Iterator[LedgerEntry]:
        """Yield every entry in the order of the keys, but for those left out."""
        for path in sorted(self.entries.glob("*/*.json")):
            entry = None if path.stem in leave_out else self.read(path.stem)
            if entry:
                yield entry

    def complete(self, place: str, series: str) -> int | None:
        """Return the number of slices of a finished result, entered or not; None where it is not finished.

        A result's folder appears whole, and holds its manifest.
        """
        try:
            found = json.loads((self.out / place / "manifest.json").read_text())
            return int(found["slices"]) if found["input"]["series"] == uid_of(series) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def clear(self, key: str) -> None:
        """Remove what a worker that died left of a series; one that lives keeps it."""
        entry = self.read(key)
        if entry is None or entry.state != STARTED:
            return
        remove_unfinished(self.note(key).parent, f"{key}.json")
        result = self.out / entry.place
        with suppress(LowDoseError, OSError), RunLock(lock_path(result), result):
            remove_unfinished(result.parent, escape(result.name))
        remove_empty(parent for parent in result.parents if parent.is_relative_to(self.out / "series"))

"""What a run over an archive leaves for its user: summary.json, index.csv and quarantine.csv."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lowdose.archive.find_series import ArchiveContents
from lowdose.archive.ledger import DONE, QUARANTINED, Ledger, LedgerEntry, key_of
from lowdose.io.atomic_replace import replace_file
from lowdose.io.input_kind import is_other_format
from lowdose.io.messages import printable

SUMMARY, INDEX, QUARANTINE = "summary.json", "index.csv", "quarantine.csv"
SKIPPED, GONE = "skipped", "gone"
Table = list[tuple[str, ...]]
INDEX_COLUMNS = ("key", "state", "result", "slices", "series", "source", "reason")


@dataclass(frozen=True)
class ArchiveSummary:
    """Result of a run over an archive; found = done + quarantined + skipped.

    Attributes
    ----------
    found : int
        Series, folders in which nothing could be read, and files of other formats.
    done, quarantined : int
        Series by their state, of this run or before; a folder in which nothing could be read is in quarantine.
    skipped : int
        Files of other formats.
    slices : int
        Slices denoised in this run.
    seconds : float
        Time of this run.
    """

    found: int
    done: int
    quarantined: int
    skipped: int
    slices: int
    seconds: float


def other_files(root: Path, folders: Iterable[str]) -> list[str]:
    """List the files of other formats in folders of an archive, relative to it."""
    names = (path for folder in folders for path in sorted((root / folder).iterdir()) if path.is_file())
    return [str(path.relative_to(root)) for path in names if is_other_format(path)]


def write_reports(
    root: Path,
    ledger: Ledger,
    contents: ArchiveContents,
    others: list[str],
    quarantine_folders: bool,
    slices: int,
    seconds: float,
) -> ArchiveSummary:
    """Write the three files and return the summary.

    The index has a line for everything that was found, and for every result whose series the archive no longer holds.
    quarantine.csv can be passed on: without ``quarantine_folders`` it names no folder and no file of the archive.
    """
    index: Table = [INDEX_COLUMNS]
    quarantine: Table = [("key", "attempts", "reason", *(["folders"] if quarantine_folders else []))]
    counts = {DONE: 0, QUARANTINED: 0}
    keys = [key for key, _ in sorted(_keys(contents).items(), key=lambda item: item[1])]
    for entry in filter(None, map(ledger.read, keys)):
        counts[entry.state] = counts.get(entry.state, 0) + 1
        index.append(_index_row(entry, entry.state))
        if entry.state != DONE:
            known = [";".join(entry.folders)] if quarantine_folders else []
            reason = entry.reason if quarantine_folders else without_names(entry.reason, root, entry.folders)
            quarantine.append((entry.key, str(entry.attempts), reason, *known))
    index += [("", SKIPPED, "", "", "", name, "another format; denoise it by itself") for name in others]
    index += [_index_row(entry, GONE) for entry in _gone(ledger, set(keys))]
    found = len(keys) + len(others)
    summary = ArchiveSummary(found, counts[DONE], counts[QUARANTINED], len(others), slices, round(seconds, 1))
    _write_table(ledger.out / INDEX, index)
    _write_table(ledger.out / QUARANTINE, quarantine)
    replace_file(ledger.out / SUMMARY, json.dumps(asdict(summary), indent=2).encode())
    return summary


def without_names(reason: str, root: Path, folders: Iterable[str]) -> str:
    """Return a reason in which FILE and FOLDER stand for the files and folders of the archive that it names."""
    names: dict[str, str] = {}
    for folder in folders:
        files = (root / folder).iterdir() if (root / folder).is_dir() else ()
        inside = "" if folder == "." else f"{folder}/"
        names |= {printable(f"{inside}{path.name}"): "FILE" for path in files}
        names |= {printable(folder): "FOLDER"} if folder != "." else {}
    if not names:
        return reason
    longest_first = sorted(names, key=len, reverse=True)
    pattern = rf"(?<![\w/])(?:{'|'.join(map(re.escape, longest_first))})(?![\w/])"
    return re.sub(pattern, lambda match: names[match[0]], reason)


def _keys(contents: ArchiveContents) -> dict[str, str]:
    """Return the key of every series, and of every folder in which nothing could be read, and where it lies."""
    series = {series.key: series.folders[0] for series in contents.series.values()}
    return series | {key_of("", folder): folder for folder in contents.faults}


def _gone(ledger: Ledger, found: set[str]) -> Iterator[LedgerEntry]:
    """Yield the finished results whose series the archive no longer holds."""
    for entry in ledger.all(leave_out=found):
        if entry.state == DONE:
            yield entry


def _index_row(entry: LedgerEntry, state: str) -> tuple[str, ...]:
    result = entry.place if entry.state == DONE else ""
    return entry.key, state, result, str(entry.slices), entry.series, ";".join(entry.folders), entry.reason


def _write_table(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows(rows)
    replace_file(path, lines.getvalue().encode("utf-8", "surrogateescape"))  # names are bytes on Linux

"""Denoise an archive: find the series, hand them to workers, report progress, summarise."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lowdose.archive.find_series import ArchiveContents, folders_with_files, series_in_folder
from lowdose.archive.ledger import DONE, QUARANTINED, SETTINGS, Ledger, LedgerEntry, key_of, result_place
from lowdose.archive.read_folders import read_folders
from lowdose.archive.report import INDEX, QUARANTINE, SUMMARY, ArchiveSummary, other_files, write_reports
from lowdose.archive.settings import ArchiveOptions, ArchiveSettings
from lowdose.errors import InvalidSetting, NothingToRead, OutputRefused
from lowdose.io.locked_folder import locked_folder
from lowdose.io.messages import counted
from lowdose.io.source import Rescale

FILES = (SETTINGS, SUMMARY, INDEX, QUARANTINE)

Say = Callable[[str], None]
Rows = list[dict[str, Any]]


def denoise_archive(
    root: Path, out: Path, settings: ArchiveSettings, options: ArchiveOptions, say: Say
) -> ArchiveSummary:
    """Denoise every series below ``root`` into ``out``; series that the ledger of ``out`` lists as done are skipped.

    Ray is started only where there is something to do. Raises NothingToRead, OutputRefused, also when another run
    writes to ``out``, and InvalidSetting.
    """
    if not root.is_dir():
        raise NothingToRead(f"{root}: not a folder; an archive is a folder of DICOM files, nested in any way")
    if out.resolve().is_relative_to(root.resolve()):
        raise OutputRefused(f"{out}: lies inside the archive {root}; choose a place outside it")
    if options.jobs < 0:
        raise InvalidSetting(f"--jobs {options.jobs}: must be at least 1, or 0 for as many as fit")
    root, out, start = root.resolve(), out.resolve(), time.monotonic()
    ledger, identity = Ledger(out), settings.identity()
    with locked_folder(out, FILES):
        ledger.check(identity)
        begun = ledger.begun
        if not begun:
            settings.load()  # what is wrong with the settings is said before anything is read
        contents, others = _found_in(root, settings.rescale)
        ledger.begin(identity)
        todo = _todo(contents, ledger, options)
        if others:
            say(
                f"left out: {counted(len(others), 'file')} of other formats, listed in {INDEX}; denoise them one by one"
            )
        slices = 0
        if todo:
            from lowdose.archive.distribute import distribute  # PyTorch and Ray, a second or two

            if begun:
                settings.load()
            slices = distribute(root, ledger, settings, options, todo, say)
        seconds = time.monotonic() - start
        return write_reports(root, ledger, contents, others, options.quarantine_folders, slices, seconds)


def _found_in(root: Path, rescale: Rescale | None) -> tuple[ArchiveContents, list[str]]:
    """Return what an archive holds, and the files of other formats in it. Raises NothingToRead when it is empty."""
    folders = list(folders_with_files(root))
    if not folders:
        raise NothingToRead(f"{root}: the archive is empty")
    rows = list(read_folders(folders, partial(series_in_folder, rescale=rescale)))
    return ArchiveContents.of(rows), other_files(root, [row["folder"] for row in rows if row["others"]])


def _todo(contents: ArchiveContents, ledger: Ledger, options: ArchiveOptions) -> Rows:
    """List the rows for workers, the longest series first, so that none is begun last and alone.

    What cannot be read at all goes into quarantine here.
    """
    for folder, cause in contents.faults.items():
        ledger.write(LedgerEntry(key_of("", folder), "", (folder,), QUARANTINED, 1, reason=cause))
    todo = []
    for series in sorted(contents.series.values(), key=lambda one: -one.images):
        entry = ledger.read(series.key)
        if entry and entry.state == DONE and ledger.complete(entry.place, series.uid) is not None:
            continue
        if entry and entry.state == QUARANTINED and not options.retry:
            continue
        begun = entry is not None and entry.state not in (DONE, QUARANTINED)
        result = entry.place if entry and begun else result_place(series.key, series.folders, options.hashed_names)
        todo.append({"key": series.key, "series": series.uid, "folders": series.folders, "result": result})
    return todo

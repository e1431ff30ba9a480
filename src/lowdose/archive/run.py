"""Denoise an archive: find the series, hand them to workers, report progress, summarise."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lowdose.archive.cluster import allocate_workers, ray_session
from lowdose.archive.find_series import ArchiveContents, folders_with_files, series_in_folder
from lowdose.archive.ledger import DONE, QUARANTINED, Ledger, LedgerEntry, key_of
from lowdose.archive.worker import ArchiveSettings, Worker
from lowdose.errors import InvalidSetting, NothingToRead, OutputRefused
from lowdose.io.atomic_replace import replace_file
from lowdose.models.load import LoadedModel
from lowdose.version import __version__

MAX_BLOCKS = 4096
"""Blocks of series; one that is lost with its worker is handed out again, and what the ledger holds is skipped."""
REPORT_EVERY_S = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class ArchiveSummary:
    """Result of a run over an archive.

    Attributes
    ----------
    done, quarantined : int
        Series by their state, of this run or before.
    slices : int
        Slices denoised in this run.
    seconds : float
        Time of this run.
    """

    done: int
    quarantined: int
    slices: int
    seconds: float


def denoise_archive(
    root: Path, out: Path, settings: ArchiveSettings, cluster: str, jobs: int, retry: bool, say: Say
) -> ArchiveSummary:
    """Denoise every series below ``root`` into ``out``; series that the ledger of ``out`` lists as done are skipped.

    cluster: 'local', or the address of a Ray cluster that sees both folders under the same names. jobs: number of
    workers; 0 = as many as fit. retry: try what is in quarantine. Raises NothingToRead, OutputRefused,
    InvalidSetting.
    """
    if not root.is_dir():
        raise NothingToRead(f"{root}: not a folder; an archive is a folder of DICOM files, nested in any way")
    if out.resolve().is_relative_to(root.resolve()):
        raise OutputRefused(f"{out}: lies inside the archive {root}; choose a place outside it")
    if jobs < 0:
        raise InvalidSetting(f"--jobs {jobs}: must be at least 1, or 0 for as many as fit")
    root, out, start = root.resolve(), out.resolve(), time.monotonic()
    ledger = Ledger(out)
    model = settings.load()  # a wrong name ends the command before anything starts
    ledger.open(_identity(settings, model))
    with ray_session(cluster) as ray:
        workers, settings = allocate_workers(ray, settings, cluster, jobs)
        try:
            contents = ArchiveContents.of(_listed(ray, root))
            todo = _todo(contents, ledger, retry, say)
            say(f"{len(contents.series)} series, {len(todo)} to do, {workers} workers of {settings.threads} threads")
            slices = _work(ray, root, out, settings, workers, todo, say)
        finally:
            ledger.clear()  # of workers that ended with us
    return _sum_up(contents, ledger, slices, time.monotonic() - start)


def _identity(settings: ArchiveSettings, model: LoadedModel) -> dict[str, object]:
    """Return what all results of one folder share."""
    return {
        "lowdose": __version__,
        "model": model.name,
        "sha256": model.sha256,
        "strength": settings.strength,
        "accuracy": settings.accuracy,
        **{name: value for name in ("dose", "noise_sd", "texture") if (value := getattr(settings, name)) is not None},
    }


def _listed(ray: Any, root: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``series_in_folder`` for all folders, read by the whole cluster."""
    rows = list(folders_with_files(root))
    if not rows:
        raise NothingToRead(f"{root}: the archive is empty")
    blocks = min(len(rows), MAX_BLOCKS)
    yield from ray.data.from_items(rows, override_num_blocks=blocks).flat_map(series_in_folder).iter_rows()


def _todo(contents: ArchiveContents, ledger: Ledger, retry: bool, say: Say) -> list[dict[str, Any]]:
    """List the rows for workers. What cannot be read at all goes into quarantine here."""
    for folder, cause in contents.faults.items():
        ledger.write(LedgerEntry(key_of("", folder), "", (folder,), QUARANTINED, 1, reason=cause))
    if contents.others:
        say(f"{contents.others} files of other kinds (zip, NIfTI, NumPy) are left out; denoise them one by one")
    todo = []
    for series in contents.series.values():
        entry = ledger.read(series.key)
        if entry and entry.state == DONE and ledger.complete(series.key, series.uid) is not None:
            continue
        if entry and entry.state == QUARANTINED and not retry:
            continue
        todo.append({"key": series.key, "series": series.uid, "folders": series.folders})
    return todo


def _work(
    ray: Any, root: Path, out: Path, settings: ArchiveSettings, workers: int, todo: list[dict[str, Any]], say: Say
) -> int:
    """Denoise the series of ``todo`` and return the number of slices."""
    if not todo:
        return 0
    each = {"num_gpus": 1} if settings.device == "cuda" else {"num_cpus": settings.threads}
    results = ray.data.from_items(todo, override_num_blocks=min(len(todo), MAX_BLOCKS)).map(
        Worker,
        fn_constructor_kwargs={"root": str(root), "out": str(out), "settings": settings},
        compute=ray.data.ActorPoolStrategy(size=workers),
        **each,
    )
    done = bad = slices = 0
    start = reported = time.monotonic()
    for row in results.iter_rows():
        done += row["state"] == DONE
        bad += row["state"] == QUARANTINED
        slices += row["slices"]
        now = time.monotonic()
        if now - reported >= REPORT_EVERY_S or done + bad == len(todo):
            reported = now
            left = int((now - start) * (len(todo) - done - bad) / (done + bad))
            rate = slices / max(now - start, 1e-9)
            say(f"{done} done, {bad} in quarantine, {len(todo) - done - bad} left; {rate:.2f} slices/s, {left} s left")
    return slices


def _sum_up(contents: ArchiveContents, ledger: Ledger, slices: int, seconds: float) -> ArchiveSummary:
    """Count the entries, and write summary.json and quarantine.csv (a line for each series that is not done)."""
    states, lines = {DONE: 0, QUARANTINED: 0}, io.StringIO()
    table = csv.writer(lines)
    table.writerow(("key", "folders", "attempts", "reason"))
    for entry in ledger.all():
        if entry.state in states:
            states[entry.state] += 1
        if entry.state != DONE:
            table.writerow((entry.key, ";".join(entry.folders), entry.attempts, entry.reason))
    summary = ArchiveSummary(states[DONE], states[QUARANTINED], slices, round(seconds, 1))
    replace_file(ledger.out / "quarantine.csv", lines.getvalue().encode())
    replace_file(
        ledger.out / "summary.json", json.dumps({"found": len(contents.series), **asdict(summary)}, indent=2).encode()
    )
    return summary

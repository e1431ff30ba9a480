"""An archive from beginning to end: find the series, hand them to workers, say how it goes, sum up."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lowdose
from lowdose.archive.cluster import allocate_workers, ray_session
from lowdose.archive.find_series import ArchiveContents, folders_with_files, series_in_folder
from lowdose.archive.ledger import DONE, QUARANTINED, Ledger, LedgerEntry, key_of
from lowdose.archive.worker import ArchiveSettings, Worker
from lowdose.errors import InvalidSetting, NothingToRead, OutputRefused
from lowdose.io.atomic_replace import replace_file
from lowdose.models.load import LoadedModel

MOST_BLOCKS = 4096
"""A block of series is handed out at a time, and done again, but for what is in the ledger, when its worker dies."""
TELL_EVERY_S = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class ArchiveSummary:
    """done, quarantined: series by what has become of them, in this run or before. slices, seconds: of this run."""

    done: int
    quarantined: int
    slices: int
    seconds: float


def denoise_archive(
    root: Path, out: Path, settings: ArchiveSettings, cluster: str, jobs: int, again: bool, say: Say
) -> ArchiveSummary:
    """Every series below ``root`` into ``out``; what ``out``'s ledger says is done is not done again.

    cluster: 'local', or the address of a Ray cluster that sees both folders under the same names. jobs: workers; 0 =
    as many as fit. again: try what is in quarantine once more. Raises NothingToRead, OutputRefused, InvalidSetting.
    """
    if not root.is_dir():
        raise NothingToRead(f"{root}: not a folder; an archive is a folder of DICOM files, nested in any way")
    if out.resolve().is_relative_to(root.resolve()):
        raise OutputRefused(f"{out}: lies inside the archive {root}; choose a place outside it")
    if jobs < 0:
        raise InvalidSetting(f"--jobs {jobs}: must be at least 1, or 0 for as many as fit")
    root, out, start = root.resolve(), out.resolve(), time.monotonic()
    ledger = Ledger(out)
    model = settings.ready()  # a wrong name is to be told before anything starts
    ledger.open(_identity(settings, model))
    with ray_session(cluster) as ray:
        workers, settings = allocate_workers(ray, settings, cluster, jobs)
        try:
            found = ArchiveContents.of(_listed(ray, root))
            todo = _todo(found, ledger, again, say)
            say(f"{len(found.series)} series, {len(todo)} to do, {workers} workers of {settings.threads} threads")
            slices = _work(ray, root, out, settings, workers, todo, say)
        finally:
            ledger.clear()  # of workers that ended with us
    return _sum_up(found, ledger, slices, time.monotonic() - start)


def _identity(settings: ArchiveSettings, model: LoadedModel) -> dict[str, object]:
    """What results of one folder have in common."""
    return {
        "lowdose": lowdose.__version__,
        "model": model.name,
        "sha256": model.sha256,
        "strength": settings.strength,
        "precision": settings.precision,
    }


def _listed(ray: Any, root: Path) -> Iterator[dict[str, Any]]:
    """Rows of ``series_in_folder`` for all folders, read by all that the cluster has."""
    rows = list(folders_with_files(root))
    if not rows:
        raise NothingToRead(f"{root}: the archive is empty")
    blocks = min(len(rows), MOST_BLOCKS)
    yield from ray.data.from_items(rows, override_num_blocks=blocks).flat_map(series_in_folder).iter_rows()


def _todo(found: ArchiveContents, ledger: Ledger, again: bool, say: Say) -> list[dict[str, Any]]:
    """Rows for workers. What cannot be read at all goes into quarantine here."""
    for folder, why in found.faults.items():
        ledger.write(LedgerEntry(key_of("", folder), "", (folder,), QUARANTINED, 1, reason=why))
    if found.others:
        say(f"{found.others} files of other kinds (zip, NIfTI, NumPy) are left out; denoise them one by one")
    todo = []
    for series in found.series.values():
        entry = ledger.read(series.key)
        if entry and entry.state == DONE and ledger.complete(series.key, series.uid) is not None:
            continue
        if entry and entry.state == QUARANTINED and not again:
            continue
        todo.append({"key": series.key, "series": series.uid, "folders": series.folders})
    return todo


def _work(
    ray: Any, root: Path, out: Path, settings: ArchiveSettings, workers: int, todo: list[dict[str, Any]], say: Say
) -> int:
    """Number of slices that were denoised."""
    if not todo:
        return 0
    each = {"num_gpus": 1} if settings.device == "cuda" else {"num_cpus": settings.threads}
    results = ray.data.from_items(todo, override_num_blocks=min(len(todo), MOST_BLOCKS)).map(
        Worker,
        fn_constructor_kwargs={"root": str(root), "out": str(out), "settings": settings},
        compute=ray.data.ActorPoolStrategy(size=workers),
        **each,
    )
    done = bad = slices = 0
    start = told = time.monotonic()
    for row in results.iter_rows():
        done += row["state"] == DONE
        bad += row["state"] == QUARANTINED
        slices += row["slices"]
        now = time.monotonic()
        if now - told >= TELL_EVERY_S or done + bad == len(todo):
            told = now
            left = int((now - start) * (len(todo) - done - bad) / (done + bad))
            pace = slices / max(now - start, 1e-9)
            say(f"{done} done, {bad} in quarantine, {len(todo) - done - bad} left; {pace:.2f} slices/s, {left} s left")
    return slices


def _sum_up(found: ArchiveContents, ledger: Ledger, slices: int, seconds: float) -> ArchiveSummary:
    """Also written: summary.json, and quarantine.csv with a line a series, both by state as it is now."""
    states, lines = {DONE: 0, QUARANTINED: 0}, io.StringIO()
    table = csv.writer(lines)
    table.writerow(("key", "folders", "attempts", "reason"))
    for entry in ledger.all():
        if entry.state in states:
            states[entry.state] += 1
        if entry.state != DONE:
            table.writerow((entry.key, ";".join(entry.folders), entry.attempts, entry.reason))
    made = ArchiveSummary(states[DONE], states[QUARANTINED], slices, round(seconds, 1))
    replace_file(ledger.out / "quarantine.csv", lines.getvalue().encode())
    replace_file(
        ledger.out / "summary.json", json.dumps({"found": len(found.series), **asdict(made)}, indent=2).encode()
    )
    return made

"""Measure how fast an archive is denoised by one worker and by two, and that broken series do no harm.

    python -m benchmarks.archive.throughput OUT [--series 200] [--slices 4] [--rounds 3]

First an archive in which one series of twenty is broken is denoised by two workers: exactly the sound series must be
done, else the exit code is 1. Then sound series of 512 x 512 pixels go through one worker and through two in turns, of
one thread each, with the default model; the slices of the first series of each worker, while it loads the model, do not
count. Writes OUT/archive.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread

from lowdose.archive.ledger import DONE, Ledger
from lowdose.archive.report import ArchiveSummary
from lowdose.archive.run import denoise_archive
from lowdose.archive.settings import ArchiveOptions, ArchiveSettings
from lowdose.image import Geometry
from lowdose.infer.engines import accuracy_check
from lowdose.io.dicom.new_series import write_new_series
from lowdose.volume import Volume

BROKEN_EVERY = 20


def write_series(folder: Path, seed: int, slices: int, side: int) -> str:
    """Write one series of square slices and return its SeriesInstanceUID."""
    image = np.tile(accuracy_check.reference_slice()[0, 0].numpy(), (2, 2))[:side, :side]
    noise = np.random.default_rng(seed).normal(0, 5, (slices, side, side))
    volume = Volume((image + noise).astype(np.float32), Geometry((3.0, 0.75, 0.75)))
    write_new_series(volume, folder, description="archive")
    return str(dcmread(folder / "00001.dcm", stop_before_pixels=True).SeriesInstanceUID)


def cut_short(file: Path) -> None:
    """Remove the end of the pixel data."""
    file.write_bytes(file.read_bytes()[:-5000])


def without_slope(file: Path) -> None:
    """Remove RescaleSlope, without which pixels are not HU."""
    header = dcmread(file)
    del header.RescaleSlope
    header.save_as(file)


def torn_header(file: Path) -> None:
    """Keep the first 300 bytes only."""
    file.write_bytes(file.read_bytes()[:300])


def not_hu(file: Path) -> None:
    """State another unit than HU."""
    header = dcmread(file)
    header.RescaleType = "US"
    header.save_as(file)


FAULTS: tuple[Callable[[Path], None], ...] = (cut_short, without_slope, torn_header, not_hu)


def build_archive(root: Path, count: int, slices: int) -> tuple[set[str], set[str]]:
    """Write an archive of which one series in twenty is broken; return the UIDs of the sound and the broken ones."""
    sound, broken = set[str](), set[str]()
    for place in range(count):
        folder = root / f"{place % 10}" / f"{place}"
        uid = write_series(folder, place, slices, 128)
        if place % BROKEN_EVERY == BROKEN_EVERY // 2:
            FAULTS[place // BROKEN_EVERY % len(FAULTS)](folder / "00002.dcm")
            broken.add(uid)
        else:
            sound.add(uid)
    return sound, broken


def check_broken_archive(scratch: Path, count: int, slices: int) -> tuple[bool, ArchiveSummary]:
    """Denoise an archive with broken series; return whether exactly the sound ones are done, and the summary."""
    sound, broken = build_archive(scratch / "in", count, slices)
    summary = denoise_archive(scratch / "in", scratch / "out", ArchiveSettings(), ArchiveOptions(jobs=2), print)
    ledger = Ledger(scratch / "out")
    done = {entry.series: entry.place for entry in ledger.all() if entry.state == DONE}
    whole = all(ledger.complete(place, uid) == slices for uid, place in done.items())
    alone = sorted(str(path.relative_to(ledger.out)) for path in ledger.out.rglob("*series-*")) == sorted(done.values())
    print(f"{len(sound)} sound and {len(broken)} broken series: {len(done)} done, {summary.quarantined} in quarantine")
    return set(done) == sound and whole and alone, summary


def slices_per_second(root: Path, out: Path, workers: int) -> float:
    """Denoise an archive and return its slices per second, from the first finished series to the last."""
    times: list[float] = []

    def listen(_: str) -> None:
        times.append(time.monotonic())

    denoise_archive(root, out, ArchiveSettings(threads=1), ArchiveOptions(jobs=workers), listen)
    ledger = Ledger(out)
    stamps = sorted(ledger.note(entry.key).stat().st_mtime for entry in ledger.all())
    slices = sum(entry.slices for entry in ledger.all()) * (len(stamps) - workers) / len(stamps)
    return slices / (stamps[-1] - stamps[workers - 1])


def compare_workers(scratch: Path, rounds: int, series: int = 12, slices: int = 8) -> dict[str, list[float]]:
    """Return slices per second by the number of workers, one value a round; workers take turns."""
    for place in range(series):
        write_series(scratch / "whole" / f"{place}", place, slices, 512)
    found: dict[str, list[float]] = {"1": [], "2": []}
    for turn in range(rounds):
        for workers in (1, 2):
            found[str(workers)].append(slices_per_second(scratch / "whole", scratch / f"out-{turn}-{workers}", workers))
            print(f"{workers} workers of one thread: {found[str(workers)][-1]:.2f} slices/s", flush=True)
    return found


def main() -> int:
    """Run both parts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        right, summary = check_broken_archive(Path(name) / "many", arguments.series, arguments.slices)
        print("exactly the sound ones are done" if right else "NOT exactly the sound ones are done")
        paces = compare_workers(Path(name) / "pace", arguments.rounds)
    ratios = [two / one for one, two in zip(paces["1"], paces["2"], strict=True)]
    print(f"two workers against one: {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) times")
    result = {"right": right, "summary": vars(summary), "slices_per_second": paces, "ratios": ratios}
    (arguments.out / "archive.json").write_text(json.dumps(result, indent=2))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

"""An archive of 200 series of which one in twenty is broken, by two workers; and two workers against one.

    python benchmarks/archive/throughput.py OUT [--series 200] [--slices 4] [--rounds 3]

Says whether exactly the good series are done (exit code 1 if not). Then the same good series of 512 x 512 slices go
through one worker and through two, of one thread each, by turns, with the default model; the first slices of a run,
before every worker has its model, do not count. Writes OUT/archive.json.
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
from lowdose.archive.run import ArchiveSummary, denoise_archive
from lowdose.archive.worker import ArchiveSettings
from lowdose.image import Geometry
from lowdose.infer.engines import accuracy_check
from lowdose.io.dicom.new_series import write_new_series
from lowdose.volume import Volume

BROKEN_EVERY = 20


def write(folder: Path, seed: int, slices: int, side: int) -> str:
    """One series; returns its UID."""
    image = np.tile(accuracy_check.reference_slice()[0, 0].numpy(), (2, 2))[:side, :side]
    noise = np.random.default_rng(seed).normal(0, 5, (slices, side, side))
    volume = Volume((image + noise).astype(np.float32), Geometry((3.0, 0.75, 0.75)))
    write_new_series(volume, folder, description="archive")
    return str(dcmread(folder / "00001.dcm", stop_before_pixels=True).SeriesInstanceUID)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5000])


def without_slope(file: Path) -> None:
    header = dcmread(file)
    del header.RescaleSlope
    header.save_as(file)


def torn_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:300])


def not_hu(file: Path) -> None:
    header = dcmread(file)
    header.RescaleType = "US"
    header.save_as(file)


FAULTS: tuple[Callable[[Path], None], ...] = (cut_short, without_slope, torn_header, not_hu)


def build(root: Path, count: int, slices: int) -> tuple[set[str], set[str]]:
    """UIDs of the good series and of the broken ones."""
    good, bad = set[str](), set[str]()
    for place in range(count):
        folder = root / f"{place % 10}" / f"{place}"
        uid = write(folder, place, slices, 128)
        if place % BROKEN_EVERY == BROKEN_EVERY // 2:
            FAULTS[place // BROKEN_EVERY % len(FAULTS)](folder / "00002.dcm")
            bad.add(uid)
        else:
            good.add(uid)
    return good, bad


def exactly_the_good(scratch: Path, count: int, slices: int) -> tuple[bool, ArchiveSummary]:
    good, bad = build(scratch / "in", count, slices)
    summary = denoise_archive(scratch / "in", scratch / "out", ArchiveSettings(), "local", 2, False, print)
    ledger = Ledger(scratch / "out")
    done = {entry.series: entry.key for entry in ledger.all() if entry.state == DONE}
    whole = all(ledger.complete(key, uid) == slices for uid, key in done.items())
    alone = sorted(path.name for path in ledger.series.glob("*/*")) == sorted(done.values())
    print(f"{len(good)} good and {len(bad)} broken series: {len(done)} done, {summary.quarantined} in quarantine")
    return set(done) == good and whole and alone, summary


def pace(root: Path, out: Path, workers: int) -> float:
    """Slices a second, from the first series that is done to the last."""
    times: list[float] = []

    def listen(_: str) -> None:
        times.append(time.monotonic())

    denoise_archive(root, out, ArchiveSettings(threads=1), "local", workers, False, listen)
    ledger = Ledger(out)
    stamps = sorted(ledger.note(entry.key).stat().st_mtime for entry in ledger.all())
    slices = sum(entry.slices for entry in ledger.all()) * (len(stamps) - workers) / len(stamps)
    return slices / (stamps[-1] - stamps[workers - 1])


def two_against_one(scratch: Path, rounds: int, series: int = 12, slices: int = 8) -> dict[str, list[float]]:
    for place in range(series):
        write(scratch / "whole" / f"{place}", place, slices, 512)
    found: dict[str, list[float]] = {"1": [], "2": []}
    for turn in range(rounds):
        for workers in (1, 2):
            found[str(workers)].append(pace(scratch / "whole", scratch / f"out-{turn}-{workers}", workers))
            print(f"{workers} workers of one thread: {found[str(workers)][-1]:.2f} slices/s", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        right, summary = exactly_the_good(Path(name) / "many", asked.series, asked.slices)
        print("exactly the good ones are done" if right else "NOT exactly the good ones are done")
        paces = two_against_one(Path(name) / "pace", asked.rounds)
    ratios = [two / one for one, two in zip(paces["1"], paces["2"], strict=True)]
    print(f"two workers against one: {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) times")
    result = {"right": right, "summary": vars(summary), "slices_per_second": paces, "ratios": ratios}
    (asked.out / "archive.json").write_text(json.dumps(result, indent=2))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

"""Compare the time to read a native CT series with reading each file once by pydicom and nothing else.

    python -m benchmarks.dicom.read_speed [FOLDER] [--repeats 7]

Without a folder, a series of 300 slices of 512 x 512 pixels is made. Prints the median ratio of neighbouring
repeats.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread

from lowdose.image import Geometry
from lowdose.io.dicom.new_series import write_new_series
from lowdose.io.dicom.series import DicomSource
from lowdose.volume import Volume


def make_series(folder: Path, slices: int) -> None:
    """Write (slices, 512, 512) DICOM: a noisy disc in air inside a round field of view."""
    y, x = np.mgrid[-256:256, -256:256]
    radius = np.hypot(y, x)
    rng = np.random.default_rng(0)
    image = np.where(radius < 180, 40.0, -1000.0) + rng.normal(0, 15, (512, 512))
    image = np.where(radius > 256, -1024.0, np.maximum(image, -1024.0))
    stack = np.broadcast_to(image.astype(np.float32), (slices, 512, 512))
    write_new_series(Volume(stack, Geometry((1.0, 0.7, 0.7))), folder, description="read speed")


def by_pydicom(folder: Path) -> None:
    """Decode every file with pydicom."""
    for file in sorted(folder.iterdir()):
        _ = dcmread(file).pixel_array


def by_lowdose(folder: Path) -> None:
    """Read every slice with lowdose."""
    source = DicomSource(folder)
    for index in range(len(source)):
        source.read(index)


def seconds(work: Callable[[Path], None], folder: Path) -> float:
    """Return the seconds that ``work`` takes."""
    start = time.perf_counter()
    work(folder)
    return time.perf_counter() - start


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "series"
        if arguments.folder is None:
            make_series(folder, 300)
        by_pydicom(folder)
        by_lowdose(folder)
        pairs = [(seconds(by_pydicom, folder), seconds(by_lowdose, folder)) for _ in range(arguments.repeats)]
    ratios = [ours / theirs for theirs, ours in pairs]
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"pydicom {theirs:.3f} s, lowdose {ours:.3f} s (medians of {len(pairs)})")
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()

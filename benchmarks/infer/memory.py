"""Measure the peak memory of ``lowdose denoise`` against the length of the series.

    python -m benchmarks.infer.memory [SLICES ...]

A synthetic DICOM series of 512 x 512 pixels of each length (10, 100 and 1000 slices by default) goes through the
command in a fresh process with strength 0, which only reads and writes; the shortest one also with the default model.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.command_cost import measure_command
from benchmarks.performance.synthetic_series import write_series


def peak_mib(series: Path, out: Path, *options: str) -> float:
    """Return the peak memory of denoising a series, MiB."""
    return measure_command("denoise", str(series), "--out", str(out), *options).peak_mib


def main() -> None:
    """Print a line for each length of series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", type=int, nargs="*", default=[10, 100, 1000])
    counts = parser.parse_args().slices
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for count in counts:
            write_series(root / f"in{count}", count)
            peak = peak_mib(root / f"in{count}", root / f"out{count}", "--strength", "0")
            print(f"{count:5d} slices, strength 0: peak {peak:7.0f} MiB", flush=True)
        shortest = min(counts)
        peak = peak_mib(root / f"in{shortest}", root / "model")
        print(f"{shortest:5d} slices, default model: peak {peak:7.0f} MiB")


if __name__ == "__main__":
    main()

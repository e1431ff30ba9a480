"""Measure seconds and memory of the whole ``lowdose denoise`` command on DICOM series of growing length.

    python -m benchmarks.performance.denoise_command OUT [--slices 10 30 100 300] [--long 1000]

The command runs in a process of its own each time, from its start to its end, after the engines have been measured
once. In turns with it, plain PyTorch runs RED-CNN on one slice. A straight line fitted to the times gives the seconds
to start and the seconds per slice. --long also measures the peak memory on a series of so many slices, with RED-CNN of
96 channels on its fastest engine, beside that on the shortest series. Writes OUT/series.csv and OUT/series.png.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from benchmarks.command_cost import measure_command
from benchmarks.performance import plots, synthetic_series, timed_networks
from benchmarks.performance.engines import EngineProcess
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain


def denoise(series: Path, out: Path, *options: str) -> dict[str, float]:
    """Denoise a series; return its seconds on the wall, of the processor and of its stages, and its peak in MiB."""
    cost = measure_command("denoise", str(series), "--out", str(out), "--manifest", *options)
    stages = json.loads((out / "manifest.json").read_text())["seconds"]
    return {"seconds": cost.seconds, "cpu_s": cost.cpu_seconds, "peak": cost.peak_mib, **stages}


def measure_series(
    scratch: Path, counts: list[int], options: list[str], rounds: int, file: TextIO
) -> list[dict[str, Any]]:
    """Return a row for each series and round; each is written to ``file`` as it is made."""
    for count in counts:
        synthetic_series.write_series(scratch / f"in{count}", count)
    denoise(scratch / f"in{counts[0]}", scratch / "warm", *options)  # measures the engines once
    eager, rows = EngineProcess("red_cnn", "eager", "cpu", torch.get_num_threads()), list[dict[str, Any]]()
    try:
        for turn in range(rounds):
            for count in counts:
                eager.turn()
                found = denoise(scratch / f"in{count}", scratch / f"out{count}-{turn}", *options)
                rows.append({"slices": count, "red_cnn_eager_s": eager.seconds[-1], **found})
                writer = csv.DictWriter(file, rows[0])
                if len(rows) == 1:
                    writer.writeheader()
                writer.writerow(rows[-1])
                file.flush()
    finally:
        eager.close()
    return rows


def print_series(rows: list[dict[str, Any]]) -> None:
    """Print the table and the fitted line."""
    counts = sorted({row["slices"] for row in rows})
    print("| slices | s | ms a slice: network, reading, writing | peak (MiB) | times RED-CNN eager |")
    print("|---|---|---|---|---|")
    for count in counts:
        own = [row for row in rows if row["slices"] == count]

        def middle(key: str, own: list[dict[str, Any]] = own) -> float:
            return statistics.median(row[key] for row in own)

        stages = ", ".join(f"{1000 * middle(stage) / count:.1f}" for stage in ("denoise", "read", "write"))
        ratio = statistics.median(row["red_cnn_eager_s"] * count / row["seconds"] for row in own)
        print(f"| {count} | {middle('seconds'):.1f} | {stages} | {middle('peak'):.0f} | {ratio:.1f} |")
    per_slice, start = np.polyfit([row["slices"] for row in rows], [row["seconds"] for row in rows], 1)
    print(
        f"\n{start:.1f} s to start and {1000 * per_slice:.0f} ms a slice: "
        f"1,000 slices in {start + 1000 * per_slice:.0f} s"
    )


def print_long_series(scratch: Path, counts: list[int], accuracy: str) -> None:
    """Print the peak memory and seconds per slice of RED-CNN."""
    model = scratch / "red_cnn.safetensors"
    checkpoint.save_denoiser(model, timed_networks.load_denoiser("red_cnn"), TrainingDomain(), {})
    print("\n| RED-CNN, slices | peak (MiB) | s a slice |\n|---|---|---|")
    for count in counts:
        if not (scratch / f"in{count}").exists():
            synthetic_series.write_series(scratch / f"in{count}", count)
        found = denoise(scratch / f"in{count}", scratch / f"red{count}", "--model", str(model), "--accuracy", accuracy)
        print(f"| {count} | {found['peak']:.0f} | {found['seconds'] / count:.2f} |", flush=True)


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--slices", type=int, nargs="+", default=[10, 30, 100, 300])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=0)
    parser.add_argument("--accuracy", default="exact")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if arguments.rounds:
            options = ["--accuracy", arguments.accuracy]
            with (arguments.out / "series.csv").open("w", newline="") as file:
                rows = measure_series(scratch, arguments.slices, options, arguments.rounds, file)
            print_series(rows)
            plots.plot_series(rows, arguments.out / "series.png")
        if arguments.long:
            print_long_series(scratch, [min(arguments.slices), arguments.long], arguments.accuracy)


if __name__ == "__main__":
    main()

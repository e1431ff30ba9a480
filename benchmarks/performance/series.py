"""The whole command on DICOM series of growing length: seconds, memory, and what is not the network.

    python benchmarks/performance/series.py OUT [--slices 10 30 100 300] [--long 1000]

`lowdose denoise` runs in a process of its own each time, from its start to its end, engines measured beforehand. Beside
it, by turns, RED-CNN as PyTorch runs it on one slice. The times are fitted with a straight line: a start and a price a
slice. --long: peak memory on a series of so many slices, with RED-CNN of 96 channels on its fastest engine, against
that on the shortest series. Writes OUT/series.csv, OUT/series.png.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import plots
import synthetic
import timed
import torch
from engines import Contender

from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain

RUN = """
import sys
from pathlib import Path
from lowdose import cli
code = cli.run(sys.argv[1:])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, peak.split()[1])
"""


def denoise(series: Path, out: Path, *options: str) -> dict[str, float]:
    """Seconds of the process and of its stages, and its peak of memory in MiB."""
    command = [sys.executable, "-c", RUN, "denoise", str(series), str(out), "--json", *options]
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    spent = time.perf_counter() - start
    code, kilobytes = result.stdout.split()[-2:]
    if code != "0":
        raise SystemExit(result.stderr)
    stages = json.loads((out / "manifest.json").read_text())["seconds"]
    return {"seconds": spent, "peak": int(kilobytes) / 1024, **stages}


def growing(scratch: Path, counts: list[int], options: list[str], rounds: int) -> list[dict[str, Any]]:
    """Rows for the series of each length."""
    for count in counts:
        synthetic.series(scratch / f"in{count}", count)
    denoise(scratch / f"in{counts[0]}", scratch / "warm", *options)  # measures the engines
    eager, rows = Contender("red_cnn", "eager", "cpu", torch.get_num_threads()), list[dict[str, Any]]()
    try:
        for turn in range(rounds):
            for count in counts:
                eager.turn()
                found = denoise(scratch / f"in{count}", scratch / f"out{count}-{turn}", *options)
                rows.append({"slices": count, "red_cnn_eager_s": eager.seconds[-1], **found})
    finally:
        eager.close()
    return rows


def tell(rows: list[dict[str, Any]]) -> None:
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
    price, start = np.polyfit([row["slices"] for row in rows], [row["seconds"] for row in rows], 1)
    print(f"\n{start:.1f} s to start and {1000 * price:.0f} ms a slice: 1,000 slices in {start + 1000 * price:.0f} s")


def memory(scratch: Path, counts: list[int], precision: str) -> None:
    model = scratch / "red_cnn.safetensors"
    checkpoint.save_denoiser(model, timed.denoiser("red_cnn"), TrainingDomain(), {})
    print("\n| RED-CNN, slices | peak (MiB) | s a slice |\n|---|---|---|")
    for count in counts:
        if not (scratch / f"in{count}").exists():
            synthetic.series(scratch / f"in{count}", count)
        found = denoise(
            scratch / f"in{count}", scratch / f"red{count}", "--model", str(model), "--precision", precision
        )
        print(f"| {count} | {found['peak']:.0f} | {found['seconds'] / count:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--slices", type=int, nargs="+", default=[10, 30, 100, 300])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=0)
    parser.add_argument("--precision", default="exact")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if asked.rounds:
            rows = growing(scratch, asked.slices, ["--precision", asked.precision], asked.rounds)
            with (asked.out / "series.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
            tell(rows)
            plots.series(rows, asked.out / "series.png")
        if asked.long:
            memory(scratch, [min(asked.slices), asked.long], asked.precision)


if __name__ == "__main__":
    main()

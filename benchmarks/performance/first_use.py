"""Measure the first and the second use of a model by ``lowdose denoise``: time, memory, and the engine chosen.

    python -m benchmarks.performance.first_use OUT [--model fast red_cnn ...] [--rounds 4] [--slices 1]

Each round begins with an empty cache: the first run checks the engine, the second one finds what the first one kept.
``import torch`` alone takes its turn in every round. Times are those of the processor and of the clock on the wall; the
former depend less on other work on the machine. Writes OUT/first_use.csv row by row and prints a table of medians.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.command_cost import children_cpu_seconds, measure_command
from benchmarks.performance import synthetic_series, timed_networks
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain

NO_MODEL = "import torch"
COLUMNS = ("round", "model", "use", "engine", "cpu_s", "wall_s", "peak_mib")


def import_torch() -> dict[str, Any]:
    """Return a row for the import of PyTorch alone."""
    begun, before = time.perf_counter(), children_cpu_seconds()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    wall, spent = time.perf_counter() - begun, children_cpu_seconds() - before
    return {"model": NO_MODEL, "use": "", "engine": "", "cpu_s": spent, "wall_s": wall, "peak_mib": 0.0}


def denoise(series: Path, out: Path, model: str, use: str, options: list[str]) -> dict[str, Any]:
    """Return a row for one run of the command."""
    cost = measure_command("denoise", str(series), "--out", str(out), "--model", model, *options)
    found = re.search(r"on cpu \((\w+), (\w+)\)", cost.messages)
    engine = " ".join(found.groups()) if found else ""
    figures = {"cpu_s": cost.cpu_seconds, "wall_s": cost.seconds, "peak_mib": cost.peak_mib}
    return {"model": Path(model).stem, "use": use, "engine": engine, **figures}


def model_file(name: str, scratch: Path) -> str:
    """Return what ``--model`` takes: RED-CNN of 96 channels is written to a file, any other name is a model's."""
    if name != "red_cnn":
        return name
    path = scratch / "red_cnn.safetensors"
    checkpoint.save_denoiser(path, timed_networks.load_denoiser(name), TrainingDomain(), {})
    return str(path)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print medians over the rounds, and every engine that was chosen."""
    print("| model | use | engines chosen | processor s | wall s | peak (MiB) |\n|---|---|---|---|---|---|")
    for model, use in dict.fromkeys((row["model"], row["use"]) for row in rows):
        own = [row for row in rows if (row["model"], row["use"]) == (model, use)]
        engines = ", ".join(row["engine"] for row in own)
        medians = [statistics.median(row[key] for row in own) for key in ("cpu_s", "wall_s")]
        peak = max(row["peak_mib"] for row in own)
        print(f"| {model} | {use} | {engines.strip(', ')} | {medians[0]:.1f} | {medians[1]:.1f} | {peak:.0f} |")


def main() -> None:
    """Run all rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", nargs="+", default=["fast", "red_cnn"])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="further options of lowdose denoise")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as name, (given.out / "first_use.csv").open("w", newline="") as file:
        scratch = Path(name)
        synthetic_series.write_series(scratch / "series", given.slices)
        models = [model_file(model, scratch) for model in given.model]
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for turn in range(given.rounds):
            os.environ["LOWDOSE_CACHE"] = str(scratch / f"cache{turn}")
            new = [import_torch()]
            for model in models:
                for use in ("first", "second"):
                    out = scratch / f"out{turn}-{len(rows)}-{len(new)}"
                    new.append(denoise(scratch / "series", out, model, use, given.options))
            for row in new:
                writer.writerow({"round": turn, **row})
            file.flush()
            rows += new
    print_table(rows)


if __name__ == "__main__":
    main()

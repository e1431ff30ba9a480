"""Compare training in two processes with training in one: patches per second and the share of time spent on data.

    python -m benchmarks.training.scaling OUT [--recipe unet] [--steps 200] [--rounds 3] [--set NAME=VALUE ...]

Digital patients are packed and trained on with simulated low dose, in turns in one process and in two that torchrun
starts, of one thread each. Each process has the same batch, so two see twice as many patches a step. The numbers come
from the log of each run. Writes OUT/training.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lowdose.io.dicom.new_series import write_new_series
from lowdose.phantom.patient import digital_patient

ROWS = ("throughput/patches_per_second", "throughput/slices_per_second", "throughput/data_wait_percent")


def make_pack(scratch: Path) -> Path:
    """Write two digital patients of normal dose and pack them."""
    for person in range(2):
        volume = digital_patient(person, slices=4, spacing_mm=20.0).volume
        write_new_series(volume, scratch / "normal" / f"{person}", description="training", patient=f"P{person}")
    command = [sys.executable, "-m", "lowdose", "data", "pack", str(scratch / "normal")]
    command += ["--out", str(scratch / "set.pack"), "--contents", "full-dose"]
    subprocess.run(command, check=True, capture_output=True)
    return scratch / "set.pack"


def train(pack: Path, bank: Path, run: Path, processes: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Train once and return the mean of each logged rate, without the first value, which includes the start."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    settings = [f"--set={text}" for text in [f"steps={arguments.steps}", *arguments.set]]
    command = [sys.executable, *launcher, "-m", "lowdose", "train", arguments.recipe]
    options = ["--data", str(pack), "--pairing", "simulated", "--bank", str(bank), "--device", "cpu", "--out", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *options, *settings], check=True, capture_output=True, env=environment)
    found: dict[str, list[float]] = {name: [] for name in ROWS}
    for row in csv.DictReader((run / "log.csv").open()):
        if row["name"] in found:
            found[row["name"]].append(float(row["value"]))
    return {name: statistics.mean(values[1:]) for name, values in found.items()}


def main() -> None:
    """Run all rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="unet")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=["batch=4", "patch=64", "validate_every=10000"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        pack = make_pack(scratch)
        for turn in range(arguments.rounds):
            for processes, rows in found.items():
                rows.append(train(pack, scratch / "bank", scratch / f"run-{turn}-{processes}", processes, arguments))
    (arguments.out / "training.json").write_text(json.dumps(found, indent=2))
    print("| processes of one thread | patches/s | slices/s | waiting for data |\n|---|---|---|---|")
    for processes, rows in found.items():
        patches, slices, wait = (statistics.median(row[key] for row in rows) for key in ROWS)
        print(f"| {processes} | {patches:.1f} | {slices:.2f} | {wait:.1f} % |")
    ratios = [two[ROWS[0]] / one[ROWS[0]] for one, two in zip(found[1], found[2], strict=True)]
    print(f"\ntwo against one: {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) times")


if __name__ == "__main__":
    main()

"""Write the learning curves of jobs as one CSV and a figure.

python -m experiments.furnace.curves OUT.csv OUT.png JOB [JOB ...] [--line NAME=GAIN]
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from experiments.furnace.state import Furnace
from experiments.furnace.validate import figure


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("jobs", nargs="+")
    parser.add_argument("--line", action="append", default=[], help="NAME=GAIN: a horizontal line")
    arguments = parser.parse_args()
    curves = {name: Furnace().job(name).validations() for name in arguments.jobs}
    write_csv(arguments.csv, curves)
    draw(arguments.figure, curves, dict(text.split("=", 1) for text in arguments.line))


def write_csv(path: Path, curves: dict[str, list[dict[str, float]]]) -> None:
    """Write a row for each validation."""
    names = list(dict.fromkeys(name for rows in curves.values() for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["job", *names])
        writer.writeheader()
        for job, rows in curves.items():
            writer.writerows({"job": job, **row} for row in rows)


def draw(path: Path, curves: dict[str, list[dict[str, float]]], lines: dict[str, str]) -> None:
    """Draw the PSNR gain over the hours of training."""
    drawing, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for job, rows in curves.items():
        axes.plot([row["hours"] for row in rows], [figure(row) for row in rows], "o-", markersize=3, label=job)
    for name, gain in lines.items():
        axes.axhline(float(gain), color="0.5", linestyle="--", linewidth=1)
        axes.annotate(name, (0, float(gain)), xytext=(2, 3), textcoords="offset points", color="0.4")
    axes.set(xlabel="hours of one core", ylabel="PSNR gain on the validation patients (dB)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    drawing.savefig(path, dpi=120)
    plt.close(drawing)


if __name__ == "__main__":
    main()

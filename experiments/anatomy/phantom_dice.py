"""Measure the Dice of every organ that the anatomy network finds in unseen digital patients, at full and quarter dose.

    python -m experiments.anatomy.phantom_dice [--weights FILE] [--patients 6] [--out table.csv]

Each patient is cut into slices 24 mm apart from groin to neck, in one of the four contrast phases, and scanned
(fan-beam projections, photons, filtered back-projection) with the kernel B30 at 200 and at 50 mAs. Dice is counted over
all slices of a patient, then averaged over the patients in which the organ occurs.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowdose.metrics.label_overlap import Overlap
from lowdose.metrics.statistics import summarise
from lowdose.networks import anatomy
from lowdose.networks.segmentation import segment_slice
from lowdose.organ_classes import CLASSES, INDEX, ORGANS, classes_of
from lowdose.phantom.contrast_phases import PHASES
from lowdose.phantom.patient import digital_patient
from lowdose.physics.acquisition import acquire
from lowdose.physics.scanner import FITTED_SCANNERS

FIRST_SEED = 900
MAS, DOSE = 200.0, 0.25
SPACING_MM = 24.0


def main() -> None:
    """Scan and segment all patients, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    network = anatomy.load_anatomy(arguments.weights)
    found = {"full dose": [], "quarter dose": []}
    seconds: list[float] = []
    for number in range(arguments.patients):
        for dose, scores in dice_of_patient(network, FIRST_SEED + number, seconds).items():
            found[dose].append(scores)
            print(f"patient {number + 1}, {dose}: mean Dice {np.nanmean(scores[_organs()]):.3f}", flush=True)
    tables = {dose: np.array(scores) for dose, scores in found.items()}
    if arguments.out:
        write_csv(arguments.out, tables)
    print_table(tables, seconds)


def dice_of_patient(network: anatomy.Anatomy, seed: int, seconds: list[float]) -> dict[str, NDArray[np.float64]]:
    """Return the Dice of every class at both doses.

    The seconds of segmenting each slice are appended to ``seconds``.
    """
    patient = digital_patient(
        seed, region=(-320.0, 360.0), spacing_mm=SPACING_MM, thickness_mm=3.0, phase=PHASES[seed % len(PHASES)]
    )
    kernel, scanner = FITTED_SCANNERS["B30"]
    scans = acquire(patient.volume, scanner, kernel, mas=MAS * 3.0 / SPACING_MM, dose=DOSE, seed=seed)
    result = {}
    for dose, volume in (("full dose", scans.full), ("quarter dose", scans.low)):
        overlap = Overlap(len(CLASSES))
        for hu, labels in zip(volume.hu, patient.labels, strict=True):
            start = time.perf_counter()
            predicted = segment_slice(network, hu, volume.geometry.spacing[1:])
            seconds.append(time.perf_counter() - start)
            overlap.add(predicted, classes_of(labels))
        result[dose] = overlap.dice()
    return result


def _organs() -> list[int]:
    """Return the numbers of the organ classes."""
    return [INDEX[organ.name] for organ in ORGANS]


def print_table(tables: dict[str, NDArray[np.float64]], seconds: list[float]) -> None:
    """Print the Dice of each organ and the mean over organs."""
    print("\n| organ | full dose | quarter dose |\n|---|---|---|")
    for organ in _organs():
        cells = [
            np.nanmean(table[:, organ]) if np.isfinite(table[:, organ]).any() else np.nan for table in tables.values()
        ]
        print(f"| {CLASSES[organ]} | " + " | ".join(f"{value:.3f}" for value in cells) + " |")
    for dose, table in tables.items():
        means = np.nanmean(table[:, _organs()], axis=1)
        summary = summarise(means.tolist(), list(range(len(means))), seed=0)
        interval = "" if summary.interval is None else f" [{summary.interval[0]:.3f}, {summary.interval[1]:.3f}]"
        print(f"{dose}: mean over organs and patients {summary.mean:.3f}{interval}")
    print(f"{np.median(seconds):.3f} s a slice (median)")


def write_csv(path: Path, tables: dict[str, NDArray[np.float64]]) -> None:
    """Write a row for each dose, patient and class."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("dose", "patient", "class", "dice"))
        for dose, table in tables.items():
            for patient, scores in enumerate(table):
                rows.writerows(
                    (dose, patient, name, f"{value:.4f}") for name, value in zip(CLASSES, scores, strict=True)
                )


if __name__ == "__main__":
    main()

"""Compare HU, noise and texture of each organ between digital patients and labelled real slices.

    python -m experiments.anatomy.phantom_realism LABELLED [--patients 6] [--mas 200]

LABELLED: folder with a CT and its labels, as ``lowdose.data.labelled.scans`` reads it. Digital patients are cut where
the real slices lie (upper abdomen), in the portal venous phase, 2 mm thick, at the real pixel size, and scanned with
the kernel B30. For each organ, eroded by two pixels: the mean HU; the SD in squares of 8 pixels, each less its fitted
surface; and the mean frequency f_av of the noise power spectrum (1-D radial weighting, 1/mm) where a square of 18 mm
fits in. Spread between digital patients: SD of their means.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from lowdose.batch import UNKNOWN
from lowdose.data.labelled.scans import labelled_slices
from lowdose.metrics.noise_estimate import noise_level
from lowdose.metrics.noise_power import MIN_ROI, detrended_sds
from lowdose.metrics.rois import corners_within, cut_squares
from lowdose.organ_classes import CLASSES, classes_of
from lowdose.phantom.patient import digital_patient
from lowdose.physics.acquisition import acquire
from lowdose.physics.scanner import FITTED_SCANNERS

REGION = (30.0, 80.0)
FIRST_SEED, SPACING_MM, THICKNESS_MM = 950, 10.0, 2.0

Labelled = tuple[NDArray[np.float32], NDArray[np.uint8], float]


class OrganNoise(NamedTuple):
    """Measurements of one organ in one person.

    Attributes
    ----------
    mean, sd : float
        HU.
    f_av : float
        Mean noise frequency, 1/mm; NaN where the organ is too small.
    """

    mean: float
    sd: float
    f_av: float


def measure_organs(slices: Iterator[Labelled]) -> dict[int, OrganNoise]:
    """Measure every class that occurs in one person's slices."""
    found: dict[int, list[tuple[float, int, float, float]]] = {}
    for hu, classes, pixel in slices:
        for number in np.unique(classes):
            inside = binary_erosion(classes == number, iterations=2)
            if number in (0, UNKNOWN) or not inside.any():
                continue
            size = MIN_ROI
            corners = corners_within(inside, size, size // 2)
            sd = float(np.median(detrended_sds(cut_squares(hu, corners, size)))) if len(corners) else np.nan
            level = noise_level(hu, inside, pixel)
            f_av = np.nan if level is None else level.f_av
            found.setdefault(int(number), []).append((float(hu[inside].mean()), int(inside.sum()), sd, f_av))
    return {number: _over_slices(np.array(rows)) for number, rows in found.items()}


def _over_slices(rows: NDArray[np.float64]) -> OrganNoise:
    """Return the mean weighted by area, and the medians of SD and f_av."""

    def median(values: NDArray[np.float64]) -> float:
        known = values[np.isfinite(values)]
        return float(np.median(known)) if len(known) else float("nan")

    return OrganNoise(float(np.average(rows[:, 0], weights=rows[:, 1])), median(rows[:, 2]), median(rows[:, 3]))


def digital_slices(seed: int, pixel: float, mas: float) -> Iterator[Labelled]:
    """Yield scanned slices of a digital patient with their classes and pixel size."""
    person = digital_patient(
        seed, region=REGION, spacing_mm=SPACING_MM, thickness_mm=THICKNESS_MM, pixel_mm=pixel, lesions=False
    )
    kernel, scanner = FITTED_SCANNERS["B30"]
    # The exposure is that of the slice thickness, not of the distance between slices.
    scan = acquire(person.volume, scanner, kernel, mas=mas * THICKNESS_MM / SPACING_MM, dose=1.0, seed=seed).full
    for hu, labels in zip(scan.hu, person.labels, strict=True):
        yield hu, classes_of(labels), pixel


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--mas", type=float, default=200.0)
    arguments = parser.parse_args()
    scans, _ = labelled_slices([arguments.labelled])
    pixel = float(np.mean(scans[0].pixel_mm))
    real = measure_organs((item.hu.astype(np.float32), item.classes, pixel) for item in scans)
    people = [
        measure_organs(digital_slices(FIRST_SEED + number, pixel, arguments.mas))
        for number in range(arguments.patients)
    ]
    print("| organ | HU real | HU digital | spread | SD real | SD digital | f_av real | f_av digital |")
    print("|---|---|---|---|---|---|---|---|")
    for number in sorted(real):
        digital = np.array([person[number] for person in people if number in person])
        if not len(digital):
            continue
        mean, sd, f_av = _over_slices(
            np.column_stack([digital[:, 0], np.ones(len(digital)), digital[:, 1], digital[:, 2]])
        )
        measured = real[number]
        cells = [f"{measured.mean:.0f}", f"{mean:.0f}", f"{digital[:, 0].std():.0f}", f"{measured.sd:.1f}", f"{sd:.1f}"]
        cells += ["–" if np.isnan(value) else f"{value:.3f}" for value in (measured.f_av, f_av)]
        print(f"| {CLASSES[number]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

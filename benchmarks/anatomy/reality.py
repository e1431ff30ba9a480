"""HU, noise and texture of each organ: digital patients against labelled real slices.

    python benchmarks/anatomy/reality.py LABELLED [--patients 6] [--mas 200]

Digital patients are cut where the real slices lie (upper abdomen), in the portal venous phase, 2 mm thick, at the
real pixel size, and scanned with the kernel B30. Per organ, eroded by two pixels: the mean HU; the SD in squares of 8
pixels, each less its fitted surface; and f_av of the noise power spectrum (1-D radial weighting, 1/mm) where a square
of 18 mm fits in. Spread between digital patients: SD of their means.
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
from lowdose.physics.scanner import FITTED

REGION = (30.0, 80.0)
FIRST_SEED, SPACING_MM, THICKNESS_MM = 950, 10.0, 2.0

Labelled = tuple[NDArray[np.float32], NDArray[np.uint8], float]


class Look(NamedTuple):
    """Of one organ in one person. mean, sd: HU; f_av: 1/mm, NaN where the organ is too small."""

    mean: float
    sd: float
    f_av: float


def looks(slices: Iterator[Labelled]) -> dict[int, Look]:
    """Every class that is found in one person's slices."""
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


def _over_slices(rows: NDArray[np.float64]) -> Look:
    def median(values: NDArray[np.float64]) -> float:
        known = values[np.isfinite(values)]
        return float(np.median(known)) if len(known) else float("nan")

    return Look(float(np.average(rows[:, 0], weights=rows[:, 1])), median(rows[:, 2]), median(rows[:, 3]))


def digital(seed: int, pixel: float, mas: float) -> Iterator[Labelled]:
    person = digital_patient(
        seed, region=REGION, spacing_mm=SPACING_MM, thickness_mm=THICKNESS_MM, pixel_mm=pixel, lesions=False
    )
    kernel, scanner = FITTED["B30"]
    # The photons of a slice of its own thickness, not of the distance between slices.
    scan = acquire(person.volume, scanner, kernel, mas=mas * THICKNESS_MM / SPACING_MM, dose=1.0, seed=seed).full
    for hu, labels in zip(scan.hu, person.labels, strict=True):
        yield hu, classes_of(labels), pixel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--mas", type=float, default=200.0)
    given = parser.parse_args()
    scans, _ = labelled_slices([given.labelled])
    pixel = float(np.mean(scans[0].pixel_mm))
    real = looks((item.hu.astype(np.float32), item.classes, pixel) for item in scans)
    people = [looks(digital(FIRST_SEED + number, pixel, given.mas)) for number in range(given.patients)]
    print("| organ | HU real | HU digital | spread | SD real | SD digital | f_av real | f_av digital |")
    print("|---|---|---|---|---|---|---|---|")
    for number in sorted(real):
        of = np.array([person[number] for person in people if number in person])
        if not len(of):
            continue
        mean, sd, f_av = _over_slices(np.column_stack([of[:, 0], np.ones(len(of)), of[:, 1], of[:, 2]]))
        told = real[number]
        cells = [f"{told.mean:.0f}", f"{mean:.0f}", f"{of[:, 0].std():.0f}", f"{told.sd:.1f}", f"{sd:.1f}"]
        cells += ["–" if np.isnan(value) else f"{value:.3f}" for value in (told.f_av, f_av)]
        print(f"| {CLASSES[number]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

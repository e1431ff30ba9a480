"""Fit the noise that is usual to normal-dose series, leaving out one patient at a time.

    python -m experiments.noise_level.usual_noise OUT.csv FOLDER [FOLDER ...]

FOLDER: folders of normal-dose CT (``../shared/ct/normal-dose``, ``more`` and ``blocks``). Of each series up to seven
slices are measured; every patient has the same weight. Writes a row for each series and prints the coefficients of
``lowdose.models.dose_estimate``, the error, and how many series would keep 60 % of their noise and more.
"""

from __future__ import annotations

import argparse
import csv
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowdose.data.series import Series, iterate_series
from lowdose.io.dicom.patients import number_patients
from lowdose.models.dose_estimate import USUAL_DIAMETER_MM, USUAL_THICKNESS_MM
from lowdose.models.training_domain import measure_slices

SLICES = 7
ENOUGH = 0.6


class Measured(NamedTuple):
    """Medians over the slices of one series: SD of each band (HU), diameter and thickness (mm)."""

    name: str
    patient: int
    kernel: str
    bands: tuple[float, ...]
    diameter: float | None
    thickness: float


def main() -> None:
    """Measure, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    measured: list[Measured] = []
    with ExitStack() as stack:
        # Arrays without a header belong to the pairs of quarter and full dose.
        found = [(folder, series) for folder in arguments.folders for series in iterate_series(folder, [], stack)
                 if series.uid or series.acquisition.kernel]  # fmt: skip
        numbers = number_patients([series for _, series in found])
        for (folder, series), number in zip(found, numbers, strict=True):
            name = f"{folder.name}/{series.place.relative_to(folder).as_posix()} {series.uid[-8:]}"
            measured += [one] if (one := measure(name, series, number + 1)) else []
    errors, coefficients = leave_one_out(measured)
    write(arguments.out, measured, errors)
    shares = 10 ** (-2 * errors)
    print("offset, per metre, per ratio:", np.round(coefficients, 3))
    print(f"{len(measured)} series of {len({one.patient for one in measured})} patients")
    print(f"error of log10: {np.sqrt(np.average(errors**2, weights=weights(measured))):.3f}")
    print(f"keep {ENOUGH:.0%} and more: {(shares >= ENOUGH).mean():.0%} of the series")


def measure(name: str, series: Series, patient: int) -> Measured | None:
    """Measure some slices of a series; None where none shows enough soft tissue."""
    count = len(series.planes)
    indices = sorted({int(i) for i in np.linspace(0, count - 1, min(SLICES, count)).round()})
    medians = measure_slices((series.read(index) for index in indices), series.acquisition.thickness_mm)
    if medians.noise_bands is None:
        return None
    thickness = medians.thickness_mm or USUAL_THICKNESS_MM
    return Measured(name, patient, str(series.acquisition.kernel), medians.noise_bands, medians.body_mm, thickness)


def design(measured: list[Measured]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the usual noise depends on, (series, 3), and what it is to be, log10 HU."""
    rows = [[1.0, (one.diameter or USUAL_DIAMETER_MM) / 1000, np.log10(one.bands[1] / one.bands[2])]
            for one in measured]  # fmt: skip
    wanted = [np.log10(one.bands[1]) + 0.5 * np.log10(one.thickness) for one in measured]
    return np.array(rows), np.array(wanted)


def weights(measured: list[Measured]) -> NDArray[np.float64]:
    """Return a weight for each series, the same in sum for every patient."""
    patients = [one.patient for one in measured]
    return np.array([1.0 / patients.count(patient) for patient in patients])


def leave_one_out(measured: list[Measured]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the error (log10 of measured over predicted SD) of each series without its patient, and the final fit."""
    rows, wanted = design(measured)
    weight, patients = np.sqrt(weights(measured)), np.array([one.patient for one in measured])

    def fit(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.lstsq(rows[chosen] * weight[chosen, None], wanted[chosen] * weight[chosen])[0])

    errors = np.zeros(len(measured))
    for patient in set(patients):
        own = patients == patient
        errors[own] = wanted[own] - rows[own] @ fit(~own)
    return errors, fit(np.ones(len(measured), bool))


def write(path: Path, measured: list[Measured], errors: NDArray[np.float64]) -> None:
    """Write a row for each series, those with the most noise for what is usual first."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["series", "patient", "kernel", "thickness_mm", "diameter_mm", "band_2_hu", "band_3_hu", "share"]
        )
        for index in np.argsort(-errors):
            one = measured[index]
            diameter = f"{one.diameter:.0f}" if one.diameter else ""
            bands = [f"{one.bands[1]:.3g}", f"{one.bands[2]:.3g}"]
            share = f"{10 ** (-2 * errors[index]):.3f}"
            writer.writerow([one.name, one.patient, one.kernel, f"{one.thickness:g}", diameter, *bands, share])


if __name__ == "__main__":
    main()

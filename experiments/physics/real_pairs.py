"""Real pairs of full and quarter dose, each with the dose simulator calibrated to its full-dose series."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.common.pairs import open_pair_folders
from experiments.physics.regions import regions
from lowdose.image import Acquisition
from lowdose.physics.dose_simulator import DoseSimulator
from lowdose.simulation.calibration import ScanDescription, calibrate, describe_scan

DOSE = 0.25
ARRAYS_PIXEL_MM, ARRAYS_THICKNESS_MM = 0.75, 1.0
"""Pixel size and thickness of pairs stored as arrays, which state none."""


class RealPair(NamedTuple):
    """One slice at full and at quarter dose.

    Attributes
    ----------
    series : str
        Name of the series.
    z : mm
        Position of the slice; NaN = not stated.
    low, full : (y, x) HU
        The slice at quarter and at full dose.
    body : (y, x) bool
        The filled body.
    pixel_mm : (mm, mm)
        Pixel size.
    simulator : DoseSimulator
        Calibrated to the full-dose series.
    exposure : mAs mm
        Exposure of the slice.
    """

    series: str
    z: float
    low: Any
    full: Any
    body: Any
    pixel_mm: tuple[float, float]
    simulator: DoseSimulator
    exposure: float

    def simulated(self, seed: int, **scanner: float) -> Any:
        """Return simulated quarter minus full dose, (y, x) HU; ``scanner``: parameters of the scanner to change."""
        simulator = DoseSimulator(replace(self.simulator.scanner, **scanner), self.simulator.kernel)
        return simulator.inserted(
            self.full, self.pixel_mm, exposure=self.exposure, dose=DOSE, seed=seed, key=f"{self.z:g}"
        )

    @property
    def true(self) -> Any:
        """True quarter minus full dose, (y, x) HU."""
        return self.low - self.full


def real_pairs(folders: list[Path]) -> Iterator[RealPair]:
    """Yield all pairs below the folders: DICOM series side by side; arrays NAME_full_hu.npy and NAME_quarter_hu.npy."""
    for folder in folders:
        arrays = sorted(folder.rglob("*_full_hu.npy"))
        for path in arrays:
            yield _array_pair(path)
        if not arrays:
            yield from _series_pairs(folder)


def _series_pairs(folder: Path) -> Iterator[RealPair]:
    with ExitStack() as stack:
        for series in open_pair_folders(stack, [folder]):
            scan = describe_scan(series.full)
            calibration = calibrate(scan)
            for i, j in series.pairs:
                low, full = series.low.read(i).hu, series.full.read(j).hu
                body = regions(full, scan.pixel_mm[0])[1]
                z = series.full.planes[j].position
                yield RealPair(
                    series.name, float("nan") if z is None else z, low, full, body, scan.pixel_mm,
                    calibration.simulator, calibration.exposures[j],
                )  # fmt: skip


def _array_pair(path: Path) -> RealPair:
    full = np.load(path).astype(np.float32)
    low = np.load(path.with_name(path.name.replace("full", "quarter"))).astype(np.float32)
    pixel = (ARRAYS_PIXEL_MM, ARRAYS_PIXEL_MM)
    scan = ScanDescription(path.stem, Acquisition(), ARRAYS_THICKNESS_MM, (None,), pixel, lambda _: full)
    calibration = calibrate(scan)
    name = path.name.split("_")[0]
    body = regions(full, pixel[0])[1]
    return RealPair(name, float("nan"), low, full, body, pixel, calibration.simulator, calibration.exposures[0])

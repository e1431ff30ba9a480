"""What scanner made a series: its kernel, and the photons behind each slice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lowdose.data.noise_bank.build import CalibratedSlice
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import InvalidSetting, NotCT
from lowdose.image import HU, Acquisition, mean_side
from lowdose.io.source import Source
from lowdose.metrics.local_noise import noise_map
from lowdose.metrics.noise_estimate import NoiseLevel, noise_level, soft_tissue
from lowdose.physics.dose_simulator import DoseSimulator
from lowdose.physics.kernels import Kernel, kernel_matching_f_av
from lowdose.physics.scanner import FITTED, Scanner

SAMPLED = 5
"""Slices whose noise is measured: it varies little along a scan, because the tube current follows the body."""

BODY_HU, LARGEST_CUT = -300.0, 0.03
"""A body is cut off where this share of the image's edge is denser than this."""

LEAST_SD = 1.0
"""HU: what has less noise was made without any, or denoised."""


@dataclass(frozen=True)
class ScanDescription:
    """What is known of a series before its slices are read.

    name: for messages. thickness_mm: None = not stated. mas: effective mAs of each slice, None = not stated.
    pixel_mm: (down the rows, along the columns) of all slices. read: number -> (y, x) HU with air for padding.
    """

    name: str
    acquisition: Acquisition
    thickness_mm: float | None
    mas: tuple[float | None, ...]
    pixel_mm: tuple[float, float]
    read: Callable[[int], HU]


@dataclass(frozen=True)
class Calibration:
    """A simulator for a series. exposures: mAs times mm of each slice. how: what was assumed, a sentence."""

    simulator: DoseSimulator
    exposures: tuple[float, ...]
    how: str
    warnings: tuple[str, ...] = ()


def describe_scan(source: Source) -> ScanDescription:
    """A series as the reader opened it. Raises NotCT where no slice states its pixel size."""
    pixel = next((plane.pixel_mm for plane in source.planes if plane.pixel_mm), None)
    if pixel is None:
        raise NotCT(f"{source.path}: no pixel size is stated, so no rays can be drawn; convert it to DICOM or NIfTI")
    thickness = source.acquisition.thickness_mm or (source.geometry.spacing[0] if source.geometry else None)
    mas = tuple(plane.mas for plane in source.planes)
    return ScanDescription(
        str(source.path), source.acquisition, thickness, mas, pixel, lambda index: source.read(index).in_air
    )


def calibrate(
    scan: ScanDescription, kernel: Kernel | None = None, mas: float | None = None, device: str = "cpu"
) -> Calibration:
    """The scanner of a series: fitted to its kind of kernel where there is such a fit, else to the series' own noise.

    kernel, mas (effective mAs of the input): what the user states instead of the header. Raises InvalidSetting for
    mAs that cannot be, NotCT where too little is stated and the noise cannot be measured.
    """
    if mas is not None and not (mas > 0 and np.isfinite(mas)):
        raise InvalidSetting(f"{mas} mAs: must be a positive number")
    current = [value for value in scan.mas if value is not None] if mas is None else [mas] * len(scan.mas)
    complete = len(current) == len(scan.mas)
    fitted = _fitted(scan.acquisition) if kernel is None else (kernel, Scanner()) if mas is not None else None
    if fitted is None or not complete or scan.thickness_mm is None:
        return _measured(scan, kernel, current if complete else [1.0] * len(scan.mas), device)
    chosen, scanner = fitted
    exposures = tuple(value * scan.thickness_mm for value in current)
    how = (
        f"Kernel {chosen}, {scanner.flux:g} photons per mAs and mm, {np.median(current):.0f} mAs, "
        f"{scan.thickness_mm:g} mm."
    )
    return Calibration(DoseSimulator(scanner, chosen, device), exposures, how, _cut_off(scan))


def calibrate_slices(slices: Sequence[NormalDoseSlice], device: str = "cpu") -> list[CalibratedSlice]:
    """How the slices of one series were scanned, each of which states its pixel size. Raises NotCT as ``calibrate``."""
    first = slices[0]
    assert first.pixel_mm is not None  # slices without are left out when the data are opened
    made = Acquisition(first.kernel, first.thickness_mm, first.kvp, first.manufacturer)
    currents = tuple(item.mas for item in slices)
    scan = ScanDescription(
        first.series, made, first.thickness_mm, currents, first.pixel_mm, lambda index: slices[index].read()
    )
    found = calibrate(scan, device=device)
    return [CalibratedSlice(found.simulator, exposure) for exposure in found.exposures]


def _fitted(made: Acquisition) -> tuple[Kernel, Scanner] | None:
    """The fit for this series' kernel, maker and voltage; None where there is none."""
    name = re.fullmatch(r"([A-Z]+\d+)[a-z]?", (made.kernel or "").strip())
    siemens = "SIEMENS" in (made.manufacturer or "").upper()
    if name is None or name[1] not in FITTED or not siemens or made.kvp is None or not 115 <= made.kvp <= 125:
        return None
    return FITTED[name[1]]


def _measured(scan: ScanDescription, kernel: Kernel | None, weights: list[float], device: str) -> Calibration:
    """Kernel from the texture of the series' own noise, exposure from its level."""
    samples = [(index, scan.read(index)) for index in sampled_indices(len(weights))]
    levels = [(index, hu, level) for index, hu in samples if (level := _level(hu, scan.pixel_mm))]
    if not levels:
        raise NotCT(
            f"{scan.name}: kernel '{scan.acquisition.kernel or 'not stated'}' has no fit, and the series' own noise "
            "cannot be measured (no 18 mm of soft tissue, or no noise); state both --kernel and --mas"
        )
    if kernel is None:
        f_av = float(np.median([level.f_av for _, _, level in levels]))
        kernel = kernel_matching_f_av(f_av, mean_side(scan.pixel_mm), Scanner().fan.sample_mm)
    simulator = DoseSimulator(Scanner(), kernel, device)
    exposures = [_exposure(simulator, hu, scan.pixel_mm, level.sd) / weights[index] for index, hu, level in levels]
    sd = float(np.median([level.sd for _, _, level in levels]))
    how = f"Kernel {kernel} and photons from the noise of the series itself, SD {sd:.1f} HU."
    scale = float(np.median(exposures))
    return Calibration(simulator, tuple(scale * weight for weight in weights), how, _cut_off(scan))


def _cut_off(scan: ScanDescription) -> tuple[str, ...]:
    """A warning where the image ends before the body does."""
    for hu in map(scan.read, sampled_indices(len(scan.mas))):
        edge = np.concatenate([hu[0], hu[-1], hu[:, 0], hu[:, -1]])
        if (edge > BODY_HU).mean() > LARGEST_CUT:
            return ("The body reaches beyond the image: what is not shown counts as air, so noise is too low.",)
    return ()


def sampled_indices(count: int) -> list[int]:
    """Up to SAMPLED slice numbers, spread over a series."""
    return sorted({round((i + 0.5) * count / SAMPLED - 0.5) for i in range(SAMPLED)} & set(range(count)))


def _level(hu: HU, pixel_mm: tuple[float, float]) -> NoiseLevel | None:
    level = noise_level(hu, np.ones(hu.shape, np.bool_), mean_side(pixel_mm))
    return level if level is not None and level.sd > LEAST_SD and level.f_av > 0 else None


def _exposure(simulator: DoseSimulator, hu: HU, pixel_mm: tuple[float, float], sd: float) -> float:
    """mAs times mm at which half the dose adds as much noise as there is: by counting alone it doubles the variance."""
    _, soft = soft_tissue(hu, mean_side(pixel_mm))
    exposure = 500.0
    for _ in range(2):  # again, because the electronic part does not go with 1 / exposure
        noise = simulator.inserted(hu, pixel_mm, exposure=exposure, dose=0.5, seed=0, key="calibration")
        exposure *= (float(np.median(noise_map(noise, soft)[soft])) / sd) ** 2
    return exposure

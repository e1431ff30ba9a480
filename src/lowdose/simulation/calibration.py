"""Calibration of the dose simulator to a series: its kernel, and the number of photons of each slice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowdose.data.noise_bank.build import CalibratedSlice
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import InvalidSetting, NotCT
from lowdose.image import HU, Acquisition, mean_side
from lowdose.io.source import Source
from lowdose.metrics.local_noise import noise_map
from lowdose.metrics.noise_estimate import NoiseLevel, noise_level, soft_tissue
from lowdose.physics.dose_simulator import DoseSimulator, expected_counts
from lowdose.physics.kernels import Kernel, kernel_matching_f_av
from lowdose.physics.scanner import FITTED_SCANNERS, Scanner

SAMPLED = 5
"""Number of slices whose noise is measured; it varies little along a scan, as the tube current follows the body."""

BODY_HU, LARGEST_TRUNCATION = -300.0, 0.03
"""A body counts as truncated where more than this share of the image's border is denser than this HU."""

MAS_RANGE = (0.1, 10_000.0)
"""Effective mAs that a scanner can give a slice: from a tenth of the lowest setting to ten times the highest one."""

BODY_TRANSMISSION, FEW_PHOTONS, LARGEST_STARVED = 0.7, 10.0, 0.2
"""Rays that let through less than this share count as through the body; a warning is given where more than this share
of them is left with fewer than so many photons."""

SMALLEST_SD = 1.0
"""Smallest noise (HU) that can be calibrated to: images with less are synthetic or were denoised."""


@dataclass(frozen=True)
class ScanDescription:
    """Description of a series from its headers.

    Attributes
    ----------
    name : str
        Name for messages.
    acquisition : Acquisition
        How it was acquired, as its header states.
    thickness_mm : mm or None
        Slice thickness; None = not stated.
    mas : tuple of mAs or None
        Effective tube current-time product of each slice; None = not stated.
    pixel_mm : (mm, mm)
        Pixel size of all slices, down the rows and along the columns.
    read : callable
        Index of a slice -> (y, x) HU, with air in place of padding.
    """

    name: str
    acquisition: Acquisition
    thickness_mm: float | None
    mas: tuple[float | None, ...]
    pixel_mm: tuple[float, float]
    read: Callable[[int], HU]


@dataclass(frozen=True)
class Calibration:
    """Dose simulator calibrated to a series.

    Attributes
    ----------
    simulator : DoseSimulator
        Simulator of the scanner and kernel.
    exposures : tuple of mAs mm
        Effective tube current-time product times slice thickness of each slice.
    how : str
        A sentence on what was assumed.
    warnings : tuple of str
        Limitations of this calibration.
    """

    simulator: DoseSimulator
    exposures: tuple[float, ...]
    how: str
    warnings: tuple[str, ...] = ()


def check_mas(mas: float) -> None:
    """Raise InvalidSetting unless a tube current-time product is one that a scanner can give a slice."""
    low, high = MAS_RANGE
    if not low <= mas <= high:
        raise InvalidSetting(f"--mas {mas:g}: must be from {low:g} to {high:g} mAs")


def describe_scan(source: Source) -> ScanDescription:
    """Describe an open series; raises NotCT when no slice states its pixel size."""
    pixel = next((plane.pixel_mm for plane in source.planes if plane.pixel_mm), None)
    if pixel is None:
        raise NotCT(f"{source.path}: no pixel size is stated, so no rays can be drawn; state it with --pixel")
    thickness = source.acquisition.thickness_mm or (source.geometry.spacing[0] if source.geometry else None)
    mas = tuple(plane.mas for plane in source.planes)
    return ScanDescription(
        str(source.path), source.acquisition, thickness, mas, pixel, lambda index: source.read(index).in_air
    )


def calibrate(
    scan: ScanDescription,
    kernel: Kernel | None = None,
    mas: float | None = None,
    device: str = "cpu",
    count_floor: float = 0.0,
) -> Calibration:
    """Calibrate the simulator: by the stored fit for its kernel if there is one, else by the series' own noise.

    kernel, mas (effective mAs of the input): values that override the header. count_floor: that of the scanner, in
    photons (see ``Scanner``). Raises InvalidSetting for an invalid mAs, NotCT when the header states too little and the
    noise cannot be measured.
    """
    if mas is not None:
        check_mas(mas)
    low, high = MAS_RANGE  # what a header states beyond it counts as not stated
    stated = [value for value in scan.mas if value is not None and low <= value <= high]
    current = stated if mas is None else [mas] * len(scan.mas)
    complete = len(current) == len(scan.mas)
    fit = _find_fit(scan.acquisition) if kernel is None else (kernel, Scanner()) if mas is not None else None
    if fit is None or not complete or scan.thickness_mm is None:
        calibration = _calibrate_by_noise(scan, kernel, current if complete else [1.0] * len(scan.mas), device)
    else:
        calibration = _calibrate_by_fit(scan, *fit, current, device)
    scanner = replace(calibration.simulator.scanner, count_floor=count_floor)
    return replace(calibration, simulator=DoseSimulator(scanner, calibration.simulator.kernel, device))


def _calibrate_by_fit(
    scan: ScanDescription, chosen: Kernel, scanner: Scanner, current: Sequence[float], device: str
) -> Calibration:
    assert scan.thickness_mm is not None
    exposures = tuple(value * scan.thickness_mm for value in current)
    how = (
        f"Kernel {chosen}, {scanner.flux:g} photons per mAs and mm, {np.median(current):.0f} mAs, "
        f"{scan.thickness_mm:g} mm."
    )
    return Calibration(DoseSimulator(scanner, chosen, device), exposures, how, _truncation_warning(scan))


def calibrate_slices(slices: Sequence[NormalDoseSlice], count_floor: float = 0.0) -> list[CalibratedSlice]:
    """Calibrate the slices of one series, each of which must state its pixel size.

    count_floor: that of the scanner, in photons (see ``Scanner``). Raises NotCT when the header states too
    little and the noise cannot be measured.
    """
    first = slices[0]
    assert first.pixel_mm is not None  # slices without a pixel size are left out when the data are opened
    acquisition = Acquisition(first.kernel, first.thickness_mm, first.kvp, first.manufacturer)
    currents = tuple(item.mas for item in slices)
    scan = ScanDescription(
        first.series, acquisition, first.thickness_mm, currents, first.pixel_mm, lambda index: slices[index].read()
    )
    calibration = calibrate(scan, count_floor=count_floor)
    return [CalibratedSlice(calibration.simulator, exposure) for exposure in calibration.exposures]


def _find_fit(acquisition: Acquisition) -> tuple[Kernel, Scanner] | None:
    """Return the fit for this kernel, manufacturer and tube voltage; None if there is none."""
    name = re.fullmatch(r"([A-Z]+\d+)[a-z]?", (acquisition.kernel or "").strip())
    siemens = "SIEMENS" in (acquisition.manufacturer or "").upper()
    kvp = acquisition.kvp
    if name is None or name[1] not in FITTED_SCANNERS or not siemens or kvp is None or not 115 <= kvp <= 125:
        return None
    return FITTED_SCANNERS[name[1]]


def _calibrate_by_noise(scan: ScanDescription, kernel: Kernel | None, weights: list[float], device: str) -> Calibration:
    """Calibrate by the noise of the series: the kernel by its texture, the exposures by its level.

    weights: relative exposures of the slices.
    """
    samples = [(index, scan.read(index)) for index in sampled_indices(len(weights))]
    levels = [(index, hu, level) for index, hu in samples if (level := _noise_level(hu, scan.pixel_mm))]
    if not levels:
        raise NotCT(
            f"{scan.name}: kernel '{scan.acquisition.kernel or 'not stated'}' has no fit, and the series' own noise "
            "cannot be measured (no 18 mm of soft tissue, or no noise); state --kernel, --mas and, if the "
            "files do not, --thickness"
        )
    if kernel is None:
        f_av = float(np.median([level.f_av for _, _, level in levels]))
        kernel = kernel_matching_f_av(f_av, mean_side(scan.pixel_mm), Scanner().fan.sample_mm)
    simulator = DoseSimulator(Scanner(), kernel, device)
    exposures = [
        _exposure_from_noise(simulator, hu, scan.pixel_mm, level.sd) / weights[index] for index, hu, level in levels
    ]
    sd = float(np.median([level.sd for _, _, level in levels]))
    how = f"Kernel {kernel} and photons from the noise of the series itself, SD {sd:.1f} HU."
    scale = float(np.median(exposures))
    return Calibration(simulator, tuple(scale * weight for weight in weights), how, _truncation_warning(scan))


def starved_rays_warning(scan: ScanDescription, calibration: Calibration, dose: float) -> list[str]:
    """Return a warning when ``dose`` leaves many rays through the body next to no photons, in the middle slice."""
    index = len(scan.mas) // 2
    scanner, exposure = calibration.simulator.scanner, calibration.exposures[index]
    photons, air, _, _ = expected_counts(scanner, scan.read(index), scan.pixel_mm, exposure)
    body = photons < BODY_TRANSMISSION * air
    starved = float((dose * photons[body] < FEW_PHOTONS).mean()) if body.any() else 0.0
    if starved <= LARGEST_STARVED:
        return []
    return [
        f"{100 * starved:.0f}% of the rays through the body count fewer than {FEW_PHOTONS:g} photons at this dose: "
        "streaks and wrong HU hide the body"
    ]


def _truncation_warning(scan: ScanDescription) -> tuple[str, ...]:
    """Return a warning if the body extends beyond the image."""
    for hu in map(scan.read, sampled_indices(len(scan.mas))):
        edge = np.concatenate([hu[0], hu[-1], hu[:, 0], hu[:, -1]])
        if (edge > BODY_HU).mean() > LARGEST_TRUNCATION:
            return ("The body reaches beyond the image: what is not shown counts as air, so noise is too low.",)
    return ()


def sampled_indices(count: int) -> list[int]:
    """Return up to ``SAMPLED`` slice indices, spread evenly over a series."""
    return sorted({round((i + 0.5) * count / SAMPLED - 0.5) for i in range(SAMPLED)} & set(range(count)))


def _noise_level(hu: HU, pixel_mm: tuple[float, float]) -> NoiseLevel | None:
    level = noise_level(hu, np.ones(hu.shape, np.bool_), mean_side(pixel_mm))
    return level if level is not None and level.sd > SMALLEST_SD and level.f_av > 0 else None


def _exposure_from_noise(simulator: DoseSimulator, hu: HU, pixel_mm: tuple[float, float], sd: float) -> float:
    """Estimate the exposure (mAs mm) at which simulating half the dose adds as much noise as the slice has.

    By counting statistics alone, half the dose doubles the variance.
    """
    _, soft = soft_tissue(hu, mean_side(pixel_mm))
    exposure = 500.0
    for _ in range(2):  # twice, because electronic noise is not proportional to 1 / exposure
        noise = simulator.inserted(hu, pixel_mm, exposure=exposure, dose=0.5, seed=0, key="calibration")
        exposure *= (float(np.median(noise_map(noise, soft)[soft])) / sd) ** 2
    return exposure

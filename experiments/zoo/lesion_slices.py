"""Slices at full and at quarter dose, real and digital, into which lesions can be put.

The noise of a slice is drawn once, without lesions: with lesions the Poisson random numbers would diverge, and other
noise would be taken for contrast. The effect of lesions on the noise, a few percent behind a lung nodule, is neglected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.zoo import scans
from lowdose.errors import LowDoseError
from lowdose.image import HU, Mask, mean_side
from lowdose.networks import anatomy, segmentation
from lowdose.organ_classes import classes_of
from lowdose.phantom.lesion_sites import organ_masks
from lowdose.phantom.patient import digital_patient
from lowdose.phantom.slice_lesions import PlannedSliceLesion, insert_lesions, slice_volume
from lowdose.physics.acquisition import STORED
from lowdose.physics.dose_simulator import Expected, expected_counts, noise_generator, reconstruct
from lowdose.physics.photon_counts import draw_counts
from lowdose.physics.scanner import FITTED_SCANNERS
from lowdose.simulation.calibration import Calibration, ScanDescription, calibrate
from lowdose.volume import Volume

MIN_ORGAN_CM2 = {"liver": 40.0, "lung": 80.0}
QUARTER, SEED = 0.25, 0
MAX_TRIED = 60
"""Number of real slices that are searched for organs."""

LEVELS_MM = {"liver": 50.0, "lung": 170.0}
"""Height above the top of L1 at which a digital patient is cut to show an organ."""

FULL_MAS, THICKNESS_MM, SIDES_MM = 200.0, 3.0, (0.74, 0.74)

LesionContrast = Callable[[Sequence[PlannedSliceLesion]], HU]


class LesionSlice(NamedTuple):
    """One slice without lesions.

    Attributes
    ----------
    group, name, patient : str
        Group in the tables, name of the slice, and its patient.
    sides_mm : tuple of float
        Pixel size (y, x), mm.
    organs : dict
        (y, x) masks by name.
    full, low : array
        (y, x) HU, the same scan at full and at quarter dose.
    truth : array
        Full dose of real slices, noise-free reconstruction of digital ones.
    add : callable
        Maps lesions to what they add to full and low alike, HU.
    """

    group: str
    name: str
    patient: str
    sides_mm: tuple[float, float]
    organs: dict[str, Mask]
    full: HU
    low: HU
    truth: HU
    add: LesionContrast

    @property
    def pixel_mm(self) -> float:
        """Mean pixel size."""
        return mean_side(self.sides_mm)


def organs_in(classes: NDArray[np.uint8], sides_mm: tuple[float, float]) -> dict[str, Mask]:
    """Return the masks of liver and lung, where a slice shows enough of them."""
    masks = organ_masks(classes, tuple(MIN_ORGAN_CM2))
    return {name: mask for name, mask in masks.items() if mask.sum() * np.prod(sides_mm) / 100 >= MIN_ORGAN_CM2[name]}


def real_slices(found: Sequence[scans.PatientSeries], wanted: dict[str, int]) -> Iterator[LesionSlice]:
    """Yield normal-dose slices that show the wanted organs, patients in turn; quarter dose is simulated.

    ``wanted`` holds the number of slices for each organ.
    """
    left, network = dict(wanted), anatomy.load_anatomy()
    calibrations: dict[str, Calibration | None] = {}
    for tried, (item, index) in enumerate(scans.patients_in_turn(found)):
        scan = scans.describe_scan(item)
        if tried == MAX_TRIED or not any(left.values()):
            return
        if scan is None:
            continue
        hu = scan.read(index)
        organs = organs_in(segmentation.segment_slice(network, hu, scan.pixel_mm), scan.pixel_mm)
        organs = {name: mask for name, mask in organs.items() if left[name] > 0}
        if organs and item.name not in calibrations:
            calibrations[item.name] = try_calibration(scan)
        calibration = calibrations.get(item.name)
        if not organs or calibration is None:
            continue
        for name in organs:
            left[name] -= 1
        low = calibration.simulator.simulate(
            hu,
            scan.pixel_mm,
            exposure=calibration.exposures[index],
            dose=QUARTER,
            seed=SEED,
            key=f"{item.name} {index}",
        )
        name = f"{item.name}, {scans.position_text(item.series.read(index))}"
        yield LesionSlice(
            "real", name, f"real {item.patient}", scan.pixel_mm, organs, hu, low, hu, _lesion_contrast(hu, scan)
        )


def try_calibration(scan: ScanDescription) -> Calibration | None:
    """Return the calibration of a scan; None, with a message, when it is refused."""
    try:
        return calibrate(scan)
    except LowDoseError as error:
        print(f"<!-- {error} (left out) -->")
        return None


def _lesion_contrast(hu: HU, scan: ScanDescription) -> LesionContrast:
    """Return the function that gives what lesions add to a real slice."""
    thickness = scan.thickness_mm or THICKNESS_MM
    volume = slice_volume(hu, scan.pixel_mm, thickness)
    return lambda planned: insert_lesions(volume, planned)[0].hu[0] - hu


def digital_slices(count: int) -> Iterator[LesionSlice]:
    """Yield slices of digital patients, one at the liver and one at the lungs; soft and sharp kernel alternate."""
    for seed in range(count):
        who, fitted = f"digital {seed}", ("B30", "D45")[seed % 2]
        for organ, level in LEVELS_MM.items():
            person = digital_patient(seed, region=(level, level), slices=1, spacing_mm=THICKNESS_MM, lesions=False)
            organs = organs_in(classes_of(person.labels[0]), SIDES_MM)
            if organ in organs:
                own = {organ: organs[organ]}
                name = f"{who}, {level:g} mm above L1"
                yield LesionSlice(
                    f"digital, {fitted}", name, who, SIDES_MM, own, *_scanned(person.volume, fitted, name)
                )


def _scanned(volume: Volume, fitted: str, key: str) -> tuple[HU, HU, HU, LesionContrast]:
    """Return (full, low, truth, add); lesions are put in before the scan, so that they have its resolution."""
    kernel, scanner = FITTED_SCANNERS[fitted]

    def expected(hu: HU) -> Expected:
        return expected_counts(scanner, hu, SIDES_MM, FULL_MAS * THICKNESS_MM)

    def image(lines: NDArray[np.float64]) -> HU:
        hu = reconstruct(scanner, kernel, scanner.correct(lines), empty.grid) - 1000
        return np.clip(hu, *STORED).astype(np.float32)

    def add(planned: Sequence[PlannedSliceLesion]) -> HU:
        other = expected(insert_lesions(volume, planned)[0].hu[0])
        return image(np.log(other.air / other.photons)) - truth

    empty = expected(volume.hu[0])
    drawn = draw_counts(empty.photons, empty.air, QUARTER, scanner.electronic, noise_generator(SEED, key))
    low, full, truth = (image(lines) for lines in (*drawn, np.log(empty.air / empty.photons)))
    return full, low, truth, add

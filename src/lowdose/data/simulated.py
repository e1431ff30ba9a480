"""Pairs from normal-dose slices alone: the low dose is simulated, per patch from a noise bank or once, exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from lowdose.data.noise_bank.bank import NoiseBank, NoisySlice
from lowdose.data.noise_bank.build import CalibratedSlice
from lowdose.data.noise_bank.plan import FULL_DOSE_PLANE
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_source import CroppedPair, Region, count_tissue_pixels
from lowdose.data.slice_context import context_indices, trainable_indices
from lowdose.errors import LowDoseError, NothingToRead
from lowdose.image import HU, mean_side
from lowdose.io.messages import reason

VALIDATION_DOSES = (0.05, 0.1, 0.25, 0.5)
"""Dose fractions of the pairs on which a model is judged."""


@dataclass(frozen=True)
class DoseDistribution:
    """Which doses patches get: log-uniform from ``low`` to ``high``, so that each halving is seen as often, and full
    dose in a share ``full`` of them, where there is nothing to remove.

    flux_low, flux_high: the photons of the scan are taken to be so many times as many, log-uniform: exposures are not
    known exactly, and other patients and scanners let other numbers through. Where they are fewer, full dose gets the
    noise that this adds, so that a noisy target too belongs to its input.
    """

    low: float = 0.05
    high: float = 1.0
    full: float = 0.05
    flux_low: float = 0.5
    flux_high: float = 2.0

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """(dose fraction, factor on the photons)."""
        whole, where, photons = rng.random(3)
        dose = 1.0 if whole < self.full else float(self.low * (self.high / self.low) ** where)
        return min(dose, 1.0), float(self.flux_low * (self.flux_high / self.flux_low) ** photons)


@dataclass(frozen=True, kw_only=True)
class SimulatedSlice(PairedSlice):
    """A pair that is yet to be made: both its images are the ``normal`` one until a dose is chosen."""

    normal: NormalDoseSlice


def simulated_slices(normal: Sequence[NormalDoseSlice]) -> tuple[list[SimulatedSlice], list[str]]:
    """(an item for each slice that states its pixel size, what was left out). Raises NothingToRead without any."""
    items = [
        SimulatedSlice(
            item.patient,
            item.key,
            mean_side(item.pixel_mm),
            item.thickness_mm,
            partial(_twice, item),
            item.case,
            stack_position=item.stack_position,
            normal=item,
        )
        for item in normal
        if item.pixel_mm is not None
    ]
    unsized = Counter(item.series for item in normal if item.pixel_mm is None)
    told = [f"{series}: {count} slices state no pixel size, so no rays can be drawn (left out)"
            for series, count in unsized.items()]  # fmt: skip
    if not items:
        raise NothingToRead(f"no slice states its pixel size ({told[0]}); convert the data to DICOM or NIfTI")
    return items, told


def _twice(item: NormalDoseSlice) -> tuple[HU, HU]:
    hu = item.read()
    return hu, hu


class SimulatedSlices:
    """What patches are cut from: slices of a bank, each time at another dose. ``items`` that the bank lacks are out.

    Each is amid ``context`` neighbours on each side. Raises NothingToRead when none is left.
    """

    def __init__(
        self, bank: NoiseBank, items: Sequence[SimulatedSlice], doses: DoseDistribution, context: int = 0
    ) -> None:
        built = [item for item in items if item.key in bank.built]
        around = context_indices(built, context)
        learned = trainable_indices(around)
        self.items: list[PairedSlice] = [built[place] for place in learned]
        self._keys = [[built[other].key for other in around[place]] for place in learned]
        self._bank, self._doses = bank, doses
        if not self.items:
            why = next((bank.left_out[item.key] for item in items if item.key in bank.left_out), "the bank is empty")
            raise NothingToRead(f"none of {len(items)} slices can be simulated, for example: {why}")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> SimulatedPatchSource:
        slices = {key: self._bank[key] for key in self._keys[index]}
        place = self.items[index].stack_position
        seen = tuple(slices[key] for key in self._keys[index])
        return SimulatedPatchSource(seen, self._doses, place.overlap if place else 0.0)


class SimulatedPatchSource(NamedTuple):
    """One slice amid its neighbours, itself in their place where it has none, and the doses it may get.

    overlap: the correlation of its noise with that of a neighbour, in full dose and so in what low dose adds. Were it
    less in the latter, neighbours would tell the two apart.
    """

    slices: tuple[NoisySlice, ...]
    doses: DoseDistribution
    overlap: float = 0.0

    @property
    def middle(self) -> NoisySlice:
        return self.slices[len(self.slices) // 2]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.middle.planes.shape[1:]

    @property
    def cutoff(self) -> float | None:
        return self.middle.cutoff

    def tissue_pixels(self, window: Region) -> int:
        return count_tissue_pixels(self.middle.planes[FULL_DOSE_PLANE][window])

    def crop(self, window: Region, rng: np.random.Generator) -> CroppedPair:
        """A window at a random dose, one for all slices; at full dose the two images are equal to the last bit.

        The dose it tells is the one by which low's noise is the louder: more photons than were calibrated (flux > 1)
        make the noise that is added less, and not the noise that full dose has.
        """
        dose, flux = self.doses.draw(rng)
        own = _added(self.middle, window, dose, flux, rng)
        shared, alone = self.overlap, (1 - self.overlap**2) ** 0.5
        full, low = [], []
        for one in self.slices:
            added = own if one is self.middle else shared * own + alone * _added(one, window, dose, flux, rng)
            full.append(one.full(window) + added[0])
            low.append(full[-1] + added[1])
        louder = 1 + (1 / dose - 1) / max(flux, 1.0)
        return CroppedPair(np.stack(low), np.stack(full), 1 / louder)


def _added(item: NoisySlice, window: Region, dose: float, flux: float, rng: np.random.Generator) -> HU:
    """(2, y, x): the noise that full dose gets where there are fewer photons, and what low dose adds to that."""
    none = np.zeros([part.stop - part.start for part in window], np.float32)
    fewer = item.noise(window, flux, 1.0, rng) if flux < 1 else none
    return np.stack([fewer, none if dose == 1.0 else item.noise(window, dose, flux, rng)])


def validation_pairs(
    around: Sequence[Sequence[tuple[SimulatedSlice, CalibratedSlice]]], seed: int
) -> tuple[list[list[PairedSlice]], list[str]]:
    """(pairs by the exact simulator, each amid its neighbours at the same dose, what was left out).

    around: slices as ``context_indices`` gives them. The doses are those of ASSESSED in turn; the noise depends on
    (seed, key) only. Every pair is made here, once, and kept.
    """
    found, told = list[list[PairedSlice]](), list[str]()
    for number, seen in enumerate(around):
        dose = VALIDATION_DOSES[number % len(VALIDATION_DOSES)]
        pairs = {item.key: _exact_pair(item, scan, dose, seed) for item, scan in seen}
        try:
            for pair in pairs.values():
                pair.read()
        except (LowDoseError, OSError) as error:
            why = str(error) if isinstance(error, LowDoseError) else reason(error)
            told.append(f"{seen[0][0].normal.series}: {why} (left out of validation)")
            continue
        found.append([pairs[item.key] for item, _ in seen])
    return found, told


def _exact_pair(item: SimulatedSlice, scan: CalibratedSlice, dose: float, seed: int) -> PairedSlice:
    read = cache(partial(_exact, item.normal, scan, dose, seed))
    return PairedSlice(item.patient, item.key, item.pixel_mm, item.thickness_mm, read, item.case)


def _exact(item: NormalDoseSlice, scan: CalibratedSlice, dose: float, seed: int) -> tuple[HU, HU]:
    hu, pixel_mm = item.read(), item.pixel_mm
    assert pixel_mm is not None  # simulated_slices leaves such out
    return scan.simulator.simulate(hu, pixel_mm, exposure=scan.exposure, dose=dose, seed=seed, key=item.key), hu

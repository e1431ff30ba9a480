"""Patches from normal-dose slices alone, for which low dose is simulated from a noise bank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from lowdose.data.noise_bank.bank import NoiseBank, NoiseTerms, NoisySlice
from lowdose.data.noise_bank.plan import FULL_DOSE_PLANE
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_source import CroppedPair, Region, count_tissue_pixels
from lowdose.data.slice_context import context_indices, has_all_neighbours, trainable_indices
from lowdose.errors import NothingToRead
from lowdose.image import HU, mean_side
from lowdose.io.messages import counted


@dataclass(frozen=True)
class DoseDistribution:
    """Distribution of the simulated dose of patches.

    Attributes
    ----------
    low, high : float
        Range of the dose fraction, log-uniform, so that each halving of dose is equally frequent.
    full : float
        Share of the patches at full dose, where there is no noise to remove.
    flux_low, flux_high : float
        Range of the factor on the number of photons of the scan, log-uniform: exposures are not known exactly, and the
        number of photons that reach the detector varies with patient and scanner. With fewer photons (a factor below
        1), the full-dose image gets the noise that this adds, so that a noisy target still matches its input.
    """

    low: float = 0.05
    high: float = 1.0
    full: float = 0.05
    flux_low: float = 0.5
    flux_high: float = 2.0

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """Draw (dose fraction, factor on the number of photons)."""
        is_full, position, photons = rng.random(3)
        dose = 1.0 if is_full < self.full else float(self.low * (self.high / self.low) ** position)
        return min(dose, 1.0), float(self.flux_low * (self.flux_high / self.flux_low) ** photons)


@dataclass(frozen=True, kw_only=True)
class SimulatedSlice(PairedSlice):
    """Slice pair to be simulated: both images are the ``normal`` one until a dose is chosen."""

    normal: NormalDoseSlice


def simulated_slices(normal: Sequence[NormalDoseSlice]) -> tuple[list[SimulatedSlice], list[str]]:
    """Return an item for each slice that states its pixel size, and warnings about those left out.

    Raises NothingToRead when no slice states it.
    """
    items = [
        SimulatedSlice(
            item.patient,
            item.key,
            mean_side(item.pixel_mm),
            item.thickness_mm,
            partial(_normal_pair, item),
            item.case,
            stack_position=item.stack_position,
            shape=item.shape,
            places=item.places,
            normal=item,
        )
        for item in normal
        if item.pixel_mm is not None
    ]
    unsized = Counter(item.series for item in normal if item.pixel_mm is None)
    warnings = [f"{series}: {counted(count, 'slice')} without a pixel size, so no rays can be drawn (left out)"
            for series, count in unsized.items()]  # fmt: skip
    if not items:
        raise NothingToRead(f"no slice states its pixel size ({warnings[0]}); convert the data to DICOM or NIfTI")
    return items, warnings


def single_slice(item: NormalDoseSlice) -> PairedSlice:
    """Return a slice of any dose as a pair with itself."""
    return PairedSlice(
        item.patient, item.key, mean_side(item.pixel_mm), item.thickness_mm, partial(_normal_pair, item), item.case,
        stack_position=item.stack_position, shape=item.shape, places=item.places,
    )  # fmt: skip


def _normal_pair(item: NormalDoseSlice) -> tuple[HU, HU]:
    hu = item.read()
    return hu, hu


class SimulatedSlices:
    """Patch sources from the slices of a noise bank, with ``context`` neighbours on each side.

    Every patch gets another dose. Raises NothingToRead when the bank holds none of the given items.

    Attributes
    ----------
    items : list of PairedSlice
        Those of the given items that the bank holds and that patches are cropped from (see ``trainable_indices``).
    complete : list of int
        Indices of those with all their neighbours.
    """

    def __init__(
        self, bank: NoiseBank, items: Sequence[SimulatedSlice], doses: DoseDistribution, context: int = 0
    ) -> None:
        built = [item for item in items if item.key in bank.built]
        contexts = context_indices(built, context)
        trainable = trainable_indices(contexts)
        self.items: list[PairedSlice] = [built[index] for index in trainable]
        self._keys = [[built[other].key for other in contexts[index]] for index in trainable]
        self.complete = [place for place, index in enumerate(trainable) if has_all_neighbours(contexts[index])]
        self._bank, self._doses = bank, doses
        if not self.items:
            why = next((bank.left_out[item.key] for item in items if item.key in bank.left_out), "the bank is empty")
            raise NothingToRead(f"none of {counted(len(items), 'slice')} can be simulated, for example: {why}")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def bank(self) -> NoiseBank:
        """The noise bank."""
        return self._bank

    def context_keys(self, index: int) -> list[str]:
        """Return the keys of slice ``index`` and its neighbours, in order; itself in the middle."""
        return self._keys[index]

    def __getitem__(self, index: int) -> SimulatedPatchSource:
        slices = {key: self._bank[key] for key in self._keys[index]}
        place = self.items[index].stack_position
        context = tuple(slices[key] for key in self._keys[index])
        return SimulatedPatchSource(context, self._doses, place.overlap if place else 0.0)


class DrawnNoise(NamedTuple):
    """Random choices for one window of a slice and its neighbours.

    Attributes
    ----------
    dose : float
        Dose of the low-dose image as a fraction of that of the full-dose image, defined by the noise of both.
    added : tuple of (NoiseTerms, NoiseTerms)
        For each slice, the noise added to full dose where there are fewer photons, and that added by low dose. Empty
        for slices that replace missing neighbours: they are the middle slice, with its noise.
    """

    dose: float
    added: tuple[tuple[NoiseTerms, NoiseTerms], ...]


class SimulatedPatchSource(NamedTuple):
    """Slice with its neighbours, from which pairs at random doses are simulated.

    Attributes
    ----------
    slices : tuple of NoisySlice
        The slice in the middle of its neighbours; the slice itself replaces missing neighbours.
    doses : DoseDistribution
        Distribution of the simulated dose.
    overlap : float
        Correlation of the noise with that of a neighbouring slice, in the full-dose image and, equally, in the noise
        that low dose adds. If the added noise were correlated less, a network could use the neighbours to separate it
        from the noise of the full-dose image.
    """

    slices: tuple[NoisySlice, ...]
    doses: DoseDistribution
    overlap: float = 0.0

    @property
    def middle(self) -> NoisySlice:
        """The slice without its neighbours."""
        return self.slices[len(self.slices) // 2]

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x) size in pixels."""
        return self.middle.planes.shape[1:]

    @property
    def cutoff(self) -> float | None:
        """Cut-off frequency (1/mm) of the Hann window of the reconstruction kernel; None = unknown."""
        return self.middle.cutoff

    def tissue_pixels(self, window: Region) -> int:
        """Count the tissue pixels among the subsampled pixels of a window of the full-dose image."""
        return count_tissue_pixels(self.middle.planes[FULL_DOSE_PLANE][window])

    def crop(self, window: Region, rng: np.random.Generator) -> CroppedPair:
        """Simulate a window at a random dose, the same for all slices.

        At full dose the two images are equal to the last bit. The returned dose is defined by the noise: the variance
        in ``low`` is 1 / dose times that in ``full``. It differs from the simulated dose where there are more photons
        than were calibrated (flux > 1): this reduces the added noise, but not the noise that full dose already has.
        """
        drawn = self.draw(window, rng)
        middle_noise = _added_noise(self.middle, drawn.added[len(self.slices) // 2], window)
        shared, independent = self.shares
        full, low = [], []
        for noisy_slice, added in zip(self.slices, drawn.added, strict=True):
            noise = middle_noise
            if noisy_slice is not self.middle:
                noise = shared * middle_noise + independent * _added_noise(noisy_slice, added, window)
            full.append(noisy_slice.full(window) + noise[0])
            low.append(full[-1] + noise[1])
        return CroppedPair(np.stack(low), np.stack(full), drawn.dose)

    @property
    def shares(self) -> tuple[float, float]:
        """Weights of the middle slice's noise, and of its own, in the noise of a neighbour."""
        return self.overlap, (1 - self.overlap**2) ** 0.5

    def draw(self, window: Region, rng: np.random.Generator) -> DrawnNoise:
        """Draw the dose and the noise of a window, as ``crop`` uses them."""
        dose, flux = self.doses.draw(rng)
        middle = _draw_added(self.middle, window, dose, flux, rng)
        added = []
        for place, noisy_slice in enumerate(self.slices):
            own = ([], []) if noisy_slice is self.middle else _draw_added(noisy_slice, window, dose, flux, rng)
            added.append(middle if place == len(self.slices) // 2 else own)
        variance_ratio = 1 + (1 / dose - 1) / max(flux, 1.0)
        return DrawnNoise(1 / variance_ratio, tuple(added))


def _draw_added(
    item: NoisySlice, window: Region, dose: float, flux: float, rng: np.random.Generator
) -> tuple[NoiseTerms, NoiseTerms]:
    full = item.draw_noise(window, flux, 1.0, rng) if flux < 1 else []
    return full, [] if dose == 1.0 else item.draw_noise(window, dose, flux, rng)


def _added_noise(item: NoisySlice, added: tuple[NoiseTerms, NoiseTerms], window: Region) -> HU:
    """Return (2, y, x) HU: the noise added to full dose where there are fewer photons, and that added by low dose."""
    return np.stack([item.sum_noise(terms, window) for terms in added])

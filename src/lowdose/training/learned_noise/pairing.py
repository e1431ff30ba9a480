"""Pairs of normal-dose scans and the same with noise of a model: pseudo-pairs, for which no scan is needed twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_fields import USUAL
from lowdose.data.patch_source import CroppedPair, PairInContext, Region, SliceCache
from lowdose.data.patches import UNKNOWN_PIXEL_MM, Patches
from lowdose.data.slice_context import context_indices, trainable_indices
from lowdose.data.training_set import Found, find_normal_dose
from lowdose.image import HU
from lowdose.training.learned_noise.added_noise import AddedNoise, SliceNoise
from lowdose.training.learned_noise.sharpness import OwnNoise, converted, variance_ratio
from lowdose.training.pairing import Say, large_enough, patches_of, with_known_dose
from lowdose.training.recipe import LEARNED, DenoiserHyperparameters
from lowdose.training.validation import evenly_spaced


class NoisyPairing:
    """Pairs of normal-dose scans and the same with added noise.

    name: name on the command line. noise: what is added. source: what identifies it, such as the hash of its file.
    The dose of a pair is that of the variances: of the noise that a slice has over that with the noise added.
    """

    paired, states_dose, found = True, True, "slices of normal dose"

    def __init__(self, name: str, noise: AddedNoise, source: str) -> None:
        self.name, self.noise, self.source = name, noise, source

    def find(self, stack: ExitStack, roots: Sequence[Path]) -> Found:
        """Find the slices of normal dose that state their pixel size."""
        return find_normal_dose(stack, roots)

    def patches(
        self,
        learn: Sequence[PairedSlice],
        hyperparameters: DenoiserHyperparameters,
        context: int,
        run: Path,
        fabric: Fabric,
        say: Say,
        fields: Sequence[str] = USUAL,
    ) -> Patches:
        """Return training patches with noise that depends on (seed, number of the patch) only.

        Patches with the noise of a kernel are not converted to other kernels or pixels: they are of one scanner.
        """
        gains = hyperparameters.gain_low, hyperparameters.gain_high
        slices = NoisySlices(large_enough(learn, hyperparameters.patch, say), self.noise, context, gains)
        augmentation = with_known_dose(hyperparameters.augmentation)
        if self.name == LEARNED:
            augmentation = replace(augmentation, share=0.0)
        return patches_of(slices, hyperparameters, fields, augmentation)

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        """Return a few of the slices ``check`` with noise, evenly spaced, each with its neighbours."""
        around = context_indices(check, context)
        read = partial(_noisy_slice, self.noise, OwnNoise(check), hyperparameters.seed)
        noisy = [replace(item, read=cache(partial(read, item))) for item in check]
        return [[noisy[other] for other in around[index]] for index in evenly_spaced(trainable_indices(around))]


class NoisySlices:
    """Patch sources of normal-dose slices to which noise is added, with ``context`` neighbours on each side.

    gains: factors on the noise, of which one is drawn evenly for each patch: the tube current that a patient had is not
    known, and a denoiser that has seen one strength alone smooths slices with less noise.

    Attributes
    ----------
    items, complete
        See ``data.patch_source.PatchSources``.
    """

    def __init__(
        self, items: Sequence[PairedSlice], noise: AddedNoise, context: int = 0,
        gains: tuple[float, float] = (1.0, 1.0),
    ) -> None:  # fmt: skip
        self._slices = SliceCache(items, context)
        self.items, self.complete = self._slices.items, self._slices.complete
        contexts = context_indices(items, context)
        self._keys = [[items[other].key for other in contexts[index]] for index in trainable_indices(contexts)]
        self._noise, self._gains = noise, gains
        self._items = {item.key: item for item in items}
        self._own, self._known = OwnNoise(items), dict[str, KnownSlice]()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> NoisySource:
        images, item = self._slices[index], self.items[index]
        pixel = item.pixel_mm or UNKNOWN_PIXEL_MM
        keys = self._keys[index]
        known = tuple(self._of_slice(key, pair.full, pixel) for key, pair in zip(keys, images.pairs, strict=True))
        overlap = item.stack_position.overlap if item.stack_position else 0.0
        return NoisySource(images, self._noise, known, pixel, overlap, self._gains)

    def _of_slice(self, key: str, stored: NDArray[Any], pixel_mm: float) -> KnownSlice:
        """Return what is known of a slice, measured once."""
        if key not in self._known:
            hu = np.asarray(stored, np.float32)
            variance, cutoff = self._own.of_slice(self._items[key])
            variance *= variance_ratio(pixel_mm, cutoff, self._noise.cutoff)
            self._known[key] = KnownSlice(self._noise.of_slice(hu, pixel_mm), variance, cutoff)
        return self._known[key]


class KnownSlice(NamedTuple):
    """What is known of a slice to which noise is added.

    Attributes
    ----------
    noise : SliceNoise
        What the added noise depends on.
    variance : float, HU^2
        Variance of its own noise, once it is converted to the kernel of the added noise.
    cutoff : 1/mm or None
        Cut-off frequency of its kernel, by the texture of its own noise; None = unknown.
    """

    noise: SliceNoise
    variance: float
    cutoff: float | None


class NoisySource(NamedTuple):
    """Slice with its neighbours, to which noise is added.

    Attributes
    ----------
    images : PairInContext
        The slice in the middle of its neighbours; the slice itself replaces missing neighbours.
    noise : AddedNoise
        What is added.
    known : tuple of KnownSlice
        What is known of each slice.
    pixel_mm : float, mm
        Pixel size.
    overlap : float
        Correlation of the noise with that of a neighbouring slice, see ``data.simulated.SimulatedPatchSource``.
    gains : tuple of float
        Range of the factors on the added noise.
    """

    images: PairInContext
    noise: AddedNoise
    known: tuple[KnownSlice, ...]
    pixel_mm: float
    overlap: float
    gains: tuple[float, float]

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x) size in pixels."""
        return self.images.shape

    @property
    def cutoff(self) -> None:
        """None: the kernel is unknown, or is that of the noise, to no other of which patches are converted."""
        return None

    @property
    def middle(self) -> KnownSlice:
        """What is known of the slice without its neighbours."""
        return self.known[len(self.known) // 2]

    @property
    def own_variance(self) -> float:
        """Variance (HU^2) of the noise that crops of the middle slice have before noise is added."""
        return self.middle.variance

    def tissue_pixels(self, window: Region) -> int:
        """Count the tissue pixels among the subsampled pixels of a window."""
        return self.images.tissue_pixels(window)

    def crop(self, window: Region, rng: np.random.Generator) -> CroppedPair:
        """Crop a window, convert it to the kernel of the noise, and add noise to its low-dose images."""
        stored = self.images.crop(window, rng).full
        middle, gain = len(stored) // 2, np.float32(rng.uniform(*self.gains))
        full = converted(stored, self.pixel_mm, self.middle.cutoff, self.noise.cutoff)
        noise = gain * self._draw(middle, window, stored, rng)
        low = full + noise
        for place, known in enumerate(self.known):
            if known is not self.middle:
                own = gain * self._draw(place, window, stored, rng)
                low[place] = full[place] + self.overlap * noise + np.sqrt(1 - self.overlap**2) * own
        own_variance, added = self.own_variance, float(gain * self.middle.noise.sd) ** 2
        return CroppedPair(low, full, own_variance / max(own_variance + added, 1e-6))

    def _draw(self, place: int, window: Region, full: HU, rng: np.random.Generator) -> HU:
        return self.noise.draw(self.known[place].noise, self.shape, window, full[place], self.pixel_mm, rng)


def _noisy_slice(noise: AddedNoise, own: OwnNoise, seed: int, item: PairedSlice) -> tuple[HU, HU]:
    """Return a slice of normal dose with noise and without; the noise depends on (seed, key) only."""
    hu, pixel = item.read()[1], item.pixel_mm or UNKNOWN_PIXEL_MM
    rng = np.random.default_rng([seed, int.from_bytes(hashlib.sha256(item.key.encode()).digest()[:8])])
    window = (slice(0, hu.shape[0]), slice(0, hu.shape[1]))
    drawn = noise.draw(noise.of_slice(hu, pixel), hu.shape, window, hu, pixel, rng)
    full = _square_converted(hu, pixel, own.of_slice(item)[1], noise.cutoff)
    return full + drawn, full


def _square_converted(hu: HU, pixel_mm: float, own: float | None, cutoff: float | None) -> HU:
    """Convert a slice (y, x) of any shape to another kernel."""
    rows, columns = hu.shape
    side = max(rows, columns)
    square = np.pad(hu, ((0, side - rows), (0, side - columns)), mode="edge")
    return converted(square[None], pixel_mm, own, cutoff)[0, :rows, :columns]

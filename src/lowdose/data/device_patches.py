"""Training patches with simulated noise, cut on the device that trains.

They are the patches of ``data.patches.Patches``, to within rounding: whatever is random about patch n is drawn on the
CPU, by the same code, and only the pixels are computed on the device. A patch is a weighted sum of windows of planes
of the noise bank, which lies on the device as a whole, followed by one linear filter.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lowdose.batch import PairedBatch
from lowdose.data.augmentation import MARGIN
from lowdose.data.noise_bank.bank import NoiseTerms, WeightedPlane
from lowdose.data.noise_bank.plan import FULL_DOSE_PLANE
from lowdose.data.patch_source import Region
from lowdose.data.patches import Patches, draw_dropped, draw_turn
from lowdose.data.simulated import DrawnNoise, SimulatedPatchSource, SimulatedSlices
from lowdose.data.transforms.kernel_conversion import MIN_WINDOW

Address = tuple[int, int, float]
"""Offset of the first pixel of a window in the bank, the pixels from row to row, and the weight."""
SIDE_STEP = 32
"""Windows of a batch are read with one side, a multiple of this, so that the device sees few different shapes."""


class PatchRecipe(NamedTuple):
    """What a patch is computed from.

    Attributes
    ----------
    images : list of lists of Address
        Windows that each image is the sum of: the low-dose images, then the full-dose image of the middle slice.
    numbers : tuple of float
        Side of the windows, pixel size in mm, cut-off of the new kernel and of the own one in 1/mm (0 = none), quarter
        turns, whether mirrored, dose.
    """

    images: list[list[Address]]
    numbers: tuple[float, ...]


class BatchRecipe(NamedTuple):
    """Patch recipes of a batch of B patches of n images: addresses (B * n, terms, 2), weights and numbers (B, 7).

    ``number`` is that of each patch in the training, (B,).
    """

    addresses: Tensor
    weights: Tensor
    numbers: Tensor
    number: Tensor = torch.zeros(0, dtype=torch.int64)


class DevicePatches(Dataset[PatchRecipe]):
    """Recipes of the patches of ``patches``, and the planes of their slices on ``device``.

    ``patches`` must have slices of a noise bank, the usual fields, no gain on the noise and no lesions.
    """

    def __init__(self, patches: Patches, device: torch.device) -> None:
        assert isinstance(patches.slices, SimulatedSlices)
        assert patches.augmentation.gain_low == patches.augmentation.gain_high == 1
        assert patches.lesion_share == 0
        self.patches, self.slices, self.device = patches, patches.slices, device
        self.offsets: dict[str, int] = {}
        total = 0
        for key in bank_keys(self.slices):
            self.offsets[key] = total
            total += self.slices.bank[key].planes.size
        self.planes = torch.empty(total, dtype=torch.int16, device=device)
        for key, offset in self.offsets.items():
            planes = np.array(self.slices.bank[key].planes).ravel()
            self.planes[offset : offset + len(planes)] = torch.from_numpy(planes)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "planes": None}  # recipes are made without them, in other processes

    def __getitem__(self, index: int) -> PatchRecipe:
        """Draw patch ``index``, which depends on (seed, index) only."""
        rng, which, images, pixel, variation, window = self.patches.choose(index)
        assert isinstance(images, SimulatedPatchSource)
        drawn = images.draw(window, rng)
        low, full = self._terms(self.slices.context_keys(which), images, drawn, window)
        for place in draw_dropped(len(low), rng):
            low[place] = low[len(low) // 2]
        turns, mirrored = draw_turn(rng)
        side = window[0].stop - window[0].start
        numbers = (side, pixel, variation.cutoff or 0.0, images.cutoff or 0.0, turns, mirrored, drawn.dose)
        return PatchRecipe([*low, full], numbers)

    def _terms(
        self, keys: Sequence[str], images: SimulatedPatchSource, drawn: DrawnNoise, window: Region
    ) -> tuple[list[list[Address]], list[Address]]:
        """Return the addresses of the low-dose images and of the middle full-dose image, as ``crop`` adds them up."""
        middle = len(keys) // 2
        shared, independent = images.shares
        plain = WeightedPlane(FULL_DOSE_PLANE, window, 1.0)
        low = []
        for key, noisy_slice, added in zip(keys, images.slices, drawn.added, strict=True):
            terms = [self._address(key, plain)]
            if noisy_slice is images.middle:
                terms += self._noise(keys[middle], drawn.added[middle], 1.0)
            else:
                terms += self._noise(keys[middle], drawn.added[middle], shared) + self._noise(key, added, independent)
            low.append(terms)
        only_full: tuple[NoiseTerms, NoiseTerms] = (drawn.added[middle][0], [])
        return low, [self._address(keys[middle], plain), *self._noise(keys[middle], only_full, 1.0)]

    def _noise(self, key: str, added: tuple[NoiseTerms, NoiseTerms], factor: float) -> list[Address]:
        return [
            self._address(key, term._replace(weight=factor * term.weight))
            for terms in added
            for pair in terms
            for term in pair
            if factor
        ]

    def _address(self, key: str, term: WeightedPlane) -> Address:
        height, width = self.slices.bank.plan.slices[key]
        rows, columns = term.window
        first = (term.plane * height + rows.start) * width + columns.start
        return self.offsets[key] + first, width, term.weight

    @property
    def recipes(self) -> DevicePatches:
        """The same without the planes, which processes that make recipes must not touch."""
        return copy.copy(self)

    def join(self, recipes: Sequence[PatchRecipe]) -> BatchRecipe:
        """Join recipes to that of a batch."""
        return join(recipes)

    def compute(self, recipe: BatchRecipe) -> PairedBatch:
        """Compute the patches of a batch on the device."""
        numbers = recipe.numbers
        windows = -(-int(numbers[:, 0].max()) // SIDE_STEP) * SIDE_STEP
        addresses, weights, numbers = (
            part.to(self.device, non_blocking=True) for part in (recipe.addresses, recipe.weights, numbers)
        )
        sums = self._sum_windows(addresses, weights, windows)
        side = self.patches.size + 2 * MARGIN
        images = convert_kernels(sums.reshape(len(numbers), -1, windows, windows), numbers, side)
        turned = turn(images[..., MARGIN:-MARGIN, MARGIN:-MARGIN], numbers[:, 4].int(), numbers[:, 5] > 0)
        return PairedBatch(
            turned[:, :-1].contiguous(), turned[:, -1:].contiguous(), numbers[:, 6], number=recipe.number
        )

    def _sum_windows(self, addresses: Tensor, weights: Tensor, side: int) -> Tensor:
        """Return the sums of weighted windows, (images, side, side) HU; what lies beyond a window's side is arbitrary.

        addresses: (images, terms, 2), weights: (images, terms).
        """
        steps = torch.arange(side, device=self.device)
        total = torch.zeros(len(addresses), side, side, device=self.device)
        last = len(self.planes) - 1
        for (first, stride), weight in zip(addresses.permute(1, 2, 0), weights.T, strict=True):
            pixels = first[:, None, None] + steps[:, None] * stride[:, None, None] + steps
            total += self.planes[pixels.clamp_(max=last)] * weight[:, None, None]
        return total


def bank_keys(slices: SimulatedSlices) -> list[str]:
    """Return the keys of all slices and neighbours, each once."""
    return list(dict.fromkeys(key for index in range(len(slices)) for key in slices.context_keys(index)))


def planes_bytes(slices: SimulatedSlices) -> int:
    """Return the memory (bytes) that the planes of all slices take."""
    return sum(slices.bank[key].planes.nbytes for key in bank_keys(slices))


def join(recipes: Sequence[PatchRecipe]) -> BatchRecipe:
    """Join recipes to a batch; images of fewer terms are filled up with terms of weight 0."""
    images = [image for recipe in recipes for image in recipe.images]
    terms = max(len(image) for image in images)
    addresses: NDArray[np.int64] = np.zeros((len(images), terms, 2), np.int64)
    weights = np.zeros((len(images), terms), np.float32)
    for number, image in enumerate(images):
        addresses[number, : len(image)] = [term[:2] for term in image]
        weights[number, : len(image)] = [term[2] for term in image]
    numbers = torch.tensor([recipe.numbers for recipe in recipes], dtype=torch.float32)
    return BatchRecipe(torch.from_numpy(addresses), torch.from_numpy(weights), numbers)


def convert_kernels(images: Tensor, numbers: Tensor, side: int) -> Tensor:
    """Convert each patch as ``kernel_conversion.convert_kernel`` does, by products with matrices of cosines.

    images: (B, n, K, K) HU, of which the first k rows and columns count, k = ``numbers[:, 0]``; numbers: see
    ``PatchRecipe``. Returns (B, n, side, side). Without a new kernel and a new size it is the identity.
    """
    k, pixel_mm, cutoff, own = numbers[:, :4].T
    forward = cosines(k, images.shape[-1])[:, None]
    spectrum = forward @ images @ forward.mT
    steps = torch.arange(images.shape[-1], device=images.device)
    f = torch.hypot(steps[:, None].float(), steps.float()) / (2 * k * pixel_mm)[:, None, None]
    passed = torch.where(own[:, None, None] > 0, _hann(f, own).clamp(min=MIN_WINDOW), 1.0)
    spectrum *= torch.where(cutoff[:, None, None] > 0, _hann(f, cutoff) / passed, 1.0)[:, None]
    spectrum *= (side / k)[:, None, None, None]
    backward = torch.zeros(images.shape[-1], side, device=images.device)
    shared = min(images.shape[-1], side)
    backward[:shared] = cosines(torch.tensor([float(side)], device=images.device), side)[0, :shared]
    return backward.mT @ spectrum @ backward


def _hann(f: Tensor, cutoff: Tensor) -> Tensor:
    """Evaluate ``kernel_conversion.hann_window`` at (B, K, K) frequencies, for each patch with its cut-off."""
    return 0.5 + 0.5 * torch.cos(math.pi * (f / cutoff[:, None, None]).nan_to_num(nan=1.0).clamp(max=1))


def cosines(k: Tensor, size: int) -> Tensor:
    """Return the matrices of the orthonormal cosine transform of lengths ``k``, (B, size, size), 0 beyond k."""
    steps = torch.arange(size, device=k.device)
    odd_multiples = steps[:, None] * (2 * steps + 1)
    length = k.long()[:, None, None]
    # Whole periods are taken off while the numbers are whole, so that float32 is exact enough.
    angle = (odd_multiples % (4 * length)).float() * (math.pi / (2 * length))
    matrices = torch.cos(angle) * (2 / length).sqrt()
    matrices[:, 0] *= math.sqrt(0.5)
    return matrices * ((steps[:, None] < length) & (steps < length))


def turn(images: Tensor, turns: Tensor, mirrored: Tensor) -> Tensor:
    """Turn each of (B, n, side, side) images by quarter turns, then mirror it left to right where it says so."""
    for count in (1, 2, 3):
        images = torch.where((turns == count)[:, None, None, None], images.rot90(count, (-2, -1)), images)
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)

"""Random patches from paired slices. Patch n depends on (seed, n) only: not on workers, processes or resumption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lowdose.batch import PairedBatch
from lowdose.data.patch_source import PatchSource, PatchSources, Region
from lowdose.data.transforms.kernel_conversion import convert_kernel
from lowdose.errors import InvalidSetting
from lowdose.image import HU

MARGIN = 8
CONTEXT_DROP_RATE = 0.05
"""Of patches with neighbours those where the slice itself stands in for them, on either side: ends of series, gaps."""
MAX_ZOOM = 2.0
"""By how much pixels are made larger or smaller at most."""
UNKNOWN_PIXEL_MM = 0.75
"""Stands in for a pixel size that the data do not state; it is not recorded as the model's range."""


@dataclass(frozen=True)
class PatchVariation:
    """How one patch is made. cutoff: 1/mm, of another kernel; pixel_mm: of other pixels; None = as they are."""

    gain: float = 1.0
    cutoff: float | None = None
    pixel_mm: float | None = None


@dataclass(frozen=True)
class Augmentation:
    """How one pair stands for many scans.

    share: of patches that are recast to another kernel, and, as often, to other pixels (``data.transforms.kernel_conversion``). cutoff_low,
    cutoff_high (1/mm), pixel_low, pixel_high (mm): their ranges, log-uniform; pixels change by ZOOM at most.
    gain_low, gain_high: the noise that low dose adds (low - full) is multiplied by a factor from this range: the
    same scan at another dose.
    """

    cutoff_low: float = 0.6
    cutoff_high: float = 2.2
    gain_low: float = 0.5
    gain_high: float = 1.2
    pixel_low: float = 0.35
    pixel_high: float = 0.98
    share: float = 0.5

    def draw(self, pixel_mm: float, rng: np.random.Generator) -> PatchVariation:
        """For a patch of a slice with pixels of ``pixel_mm``."""
        kernel, cutoff, zoomed, pixel, gain = rng.random(5)
        other = _between(*self.pixels(pixel_mm), pixel)
        return PatchVariation(
            float(self.gain_low + gain * (self.gain_high - self.gain_low)),
            _between(self.cutoff_low, self.cutoff_high, cutoff) if kernel < self.share else None,
            other if zoomed < self.share else None,
        )

    def pixels(self, pixel_mm: float) -> tuple[float, float]:
        """(smallest, largest) pixels in mm that a slice with pixels of ``pixel_mm`` is recast to."""
        low, high = (
            float(np.clip(side, pixel_mm / MAX_ZOOM, pixel_mm * MAX_ZOOM)) for side in (self.pixel_low, self.pixel_high)
        )
        return low, high


def _between(low: float, high: float, chance: float) -> float:
    return float(low * (high / low) ** chance)


def apply_variation(low: HU, full: HU, look: PatchVariation, pixel_mm: float, own: float | None, side: int) -> HU:
    """(2c+1, k, k) HU each -> (2c+2, side, side): every low dose, then full dose of the middle slice.

    Edges are not trustworthy over MARGIN pixels. own: cut-off of the images' kernel.
    """
    if look.gain != 1:
        low = full + np.float32(look.gain) * (low - full)
    images = np.concatenate([low, full[len(full) // 2, None]])
    if look.cutoff is None and side == images.shape[-1]:
        return images
    return convert_kernel(images, pixel_mm, cutoff=look.cutoff, own=own, side=side)


def drop_context(low: HU, full: HU, rng: np.random.Generator) -> None:
    """Puts the middle one of (2c+1, k, k) images in the place of its neighbours, on either side by chance."""
    middle = len(low) // 2
    for side in (slice(0, middle), slice(middle + 1, None)):
        if middle and rng.random() < CONTEXT_DROP_RATE:
            low[side], full[side] = low[middle], full[middle]


class Patches(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Item n -> (low (2c+1, size, size), full (1, size, size), dose), HU: random slice, place, flips, quarter turns."""

    def __init__(self, slices: PatchSources, size: int, augmentation: Augmentation, seed: int) -> None:
        self.slices, self.size, self.augmentation, self.seed = slices, size, augmentation, seed

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        which = int(rng.integers(len(self.slices)))
        images, pixel = self.slices[which], self.slices.items[which].pixel_mm or UNKNOWN_PIXEL_MM
        look, side = self.augmentation.draw(pixel, rng), self.size + 2 * MARGIN
        cut = min(round(side * (look.pixel_mm or pixel) / pixel), *images.shape)
        low, full, dose = images.crop(self._crop(images, cut, rng), rng)
        drop_context(low, full, rng)
        seen = apply_variation(low, full, look, pixel, images.cutoff, side)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        turned = np.rot90(seen, int(rng.integers(4)), (1, 2))
        both = torch.from_numpy((turned[..., ::-1] if rng.integers(2) else turned).copy())
        return both[:-1], both[-1:], torch.tensor(dose, dtype=torch.float32)

    def _crop(self, images: PatchSource, side: int, rng: np.random.Generator) -> Region:
        """Of two random windows the one that shows more of the body: much of a slice is air."""
        least = self.size + 2 * MARGIN
        if min(images.shape) < least:
            raise InvalidSetting(
                f"slices of {images.shape} pixels are too small for patches of {self.size} + {2 * MARGIN}"
            )
        places = [[int(rng.integers(n - side + 1)) for n in images.shape] for _ in range(2)]
        windows = [(slice(y, y + side), slice(x, x + side)) for y, x in places]
        return max(windows, key=images.tissue_pixels)


def batches(
    patches: Patches, size: int, first: int, last: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[PairedBatch]:
    """Batches for steps first..last-1. ``size`` is one process's share; together they see size * world patches."""
    indices = [[(step * world + rank) * size + place for place in range(size)] for step in range(first, last)]
    for low, full, dose in DataLoader(patches, batch_sampler=indices, num_workers=workers):
        yield PairedBatch(low, full, dose)

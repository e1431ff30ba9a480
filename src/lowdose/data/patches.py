"""Random patches from paired slices. Patch n depends on (seed, n) only: not on workers, processes or resumption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import fft
from torch.utils.data import DataLoader, Dataset

from lowdose.batch import Batch
from lowdose.data.pairs import Slices, Window
from lowdose.errors import InvalidSetting
from lowdose.volume import HU

MARGIN = 8
UNKNOWN_PIXEL_MM = 0.75
"""Stands in for a pixel size that the data do not state; it is not recorded as the model's range."""


@dataclass(frozen=True)
class Augmentation:
    """How one real pair stands for many scans.

    cutoff_low, cutoff_high (1/mm): in half of the patches both images pass one Hann window whose cut-off frequency is
    drawn from this range. Reconstruction is linear and its kernels differ by such windows (FDA LCD_CT: B30 is about
    0.78/mm, D45 about 1.87/mm), so this is the pair a softer kernel would have given, noise texture included.
    gain_low, gain_high: the noise that low dose adds (low - full) is multiplied by a factor from this range: the
    same scan at another dose.
    """

    cutoff_low: float = 0.7
    cutoff_high: float = 1.9
    gain_low: float = 0.5
    gain_high: float = 1.2

    def apply(self, low: HU, full: HU, pixel_mm: float, rng: np.random.Generator) -> tuple[HU, HU]:
        """(y, x) HU pair -> (y, x) HU pair; edges are not trustworthy over MARGIN pixels."""
        gain = np.float32(rng.uniform(self.gain_low, self.gain_high))
        if gain != 1:
            low = full + gain * (low - full)
        cutoff = rng.uniform(self.cutoff_low, self.cutoff_high)
        if rng.random() < 0.5:
            low, full = soften(np.stack([low, full]), cutoff, pixel_mm)
        return low, full


def soften(images: HU, cutoff: float, pixel_mm: float) -> HU:
    """A radial Hann window 0.5 (1 + cos(pi f / cutoff)) on the spectra of (..., y, x) images; 0 beyond ``cutoff`` 1/mm.

    All in float32, which is off by less than 0.01 HU.
    """
    sides = images.shape[-2:]
    # f / cutoff, at most 1 where the window ends
    relative = np.minimum(_frequencies(sides) * np.float32(1 / (cutoff * pixel_mm)), np.float32(1))
    window = np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * relative)
    return np.asarray(fft.irfft2(fft.rfft2(images, workers=1) * window, sides, workers=1), np.float32)


@lru_cache(maxsize=8)
def _frequencies(sides: tuple[int, int]) -> HU:
    """(y, x // 2 + 1) of ``rfft2``: radial frequency in cycles a pixel."""
    return np.hypot(fft.fftfreq(sides[0])[:, None], fft.rfftfreq(sides[1])).astype(np.float32)


class Patches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Item n -> (low, full), each (1, size, size) float32 HU: random slice, place, flips and quarter turns."""

    def __init__(self, slices: Slices, size: int, augmentation: Augmentation, seed: int) -> None:
        self.slices, self.size, self.augmentation, self.seed = slices, size, augmentation, seed

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        which = int(rng.integers(len(self.slices)))
        images = self.slices[which]
        low, full = images.cut(self._crop(images.shape, rng), rng)
        pair = self.augmentation.apply(low, full, self.slices.items[which].pixel_mm or UNKNOWN_PIXEL_MM, rng)
        inner = np.stack([image[MARGIN:-MARGIN, MARGIN:-MARGIN] for image in pair])
        turned = np.rot90(inner, int(rng.integers(4)), (1, 2))
        both = torch.from_numpy((turned[..., ::-1] if rng.integers(2) else turned).copy())
        return both[:1], both[1:]

    def _crop(self, shape: tuple[int, ...], rng: np.random.Generator) -> Window:
        side = self.size + 2 * MARGIN
        if min(shape) < side:
            raise InvalidSetting(f"slices of {shape} pixels are too small for patches of {self.size} + {2 * MARGIN}")
        y, x = (int(rng.integers(n - side + 1)) for n in shape)
        return slice(y, y + side), slice(x, x + side)


def batches(
    patches: Patches, size: int, first: int, last: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[Batch]:
    """Batches for steps first..last-1. ``size`` is one process's share; together they see size * world patches."""
    indices = [[(step * world + rank) * size + place for place in range(size)] for step in range(first, last)]
    for low, full in DataLoader(patches, batch_sampler=indices, num_workers=workers):
        yield Batch(low, full)

"""Random patches from paired slices.

Patch n depends on (seed, n) only: not on the number of workers or processes, nor on whether a run was resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lowdose.batch import PairedBatch
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_lesions import PatchLesion, contrast_template, draw_lesion
from lowdose.data.patch_source import PatchSource, PatchSources, Region
from lowdose.data.transforms.kernel_conversion import convert_kernel
from lowdose.errors import InvalidSetting
from lowdose.image import HU

MARGIN = 8
"""Pixels cropped around each patch and cut off again, since filters are not reliable near an edge."""
USUAL_MULTIPLE = 16
"""Sides of patches that all networks take are multiples of this."""
CONTEXT_DROP_RATE = 0.05
"""Share of patches in which the slice itself replaces its neighbours, drawn for each side independently.

It imitates the ends of a series and gaps in it."""
COMPLETE_SHARE = 0.75
"""Least share of the patches that come from slices with all their neighbours, where there are any.

Such slices are rare among the single slices of many patients, but most slices that are denoised have neighbours."""
MAX_ZOOM = 2.0
"""Largest factor by which pixels are made larger or smaller."""
UNKNOWN_PIXEL_MM = 0.75
"""Pixel size (mm) assumed where the data state none; it is not recorded as part of the model's range."""
UNKNOWN_THICKNESS_MM = 3.0
"""Slice thickness (mm) assumed for lesions where the data state none."""
LESION_STREAM = 4021
"""Number of the stream of random numbers for lesions: drawn apart, they leave patches without a lesion as they are."""


@dataclass(frozen=True)
class PatchVariation:
    """Variation applied to one patch.

    Attributes
    ----------
    gain : float
        Factor on the noise that low dose adds (low - full).
    cutoff : 1/mm or None
        Cut-off frequency of the reconstruction kernel to convert to; None = keep the kernel.
    pixel_mm : mm or None
        Pixel size to resample to; None = keep the pixels.
    """

    gain: float = 1.0
    cutoff: float | None = None
    pixel_mm: float | None = None


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random variations by which one slice pair represents many scans.

    Attributes
    ----------
    cutoff_low, cutoff_high : 1/mm
        Range of the cut-off frequency of the new reconstruction kernel, log-uniform.
    gain_low, gain_high : float
        Range of the factor on the noise that low dose adds (low - full): the same scan at another dose.
    pixel_low, pixel_high : mm
        Range of the new pixel size, log-uniform; pixels change by a factor of ``MAX_ZOOM`` at most.
    share : float
        Share of the patches that are converted to another kernel, and independently of those that are resampled to
        other pixels (``data.transforms.kernel_conversion``).
    """

    cutoff_low: float = 0.6
    cutoff_high: float = 2.2
    gain_low: float = 0.5
    gain_high: float = 1.2
    pixel_low: float = 0.35
    pixel_high: float = 0.98
    share: float = 0.5

    def draw(self, pixel_mm: float, rng: np.random.Generator) -> PatchVariation:
        """Draw the variation of one patch of a slice with pixels of ``pixel_mm``."""
        kernel, cutoff, zoomed, pixel, gain = rng.random(5)
        new_pixel_mm = _log_uniform(*self.pixels(pixel_mm), pixel)
        return PatchVariation(
            float(self.gain_low + gain * (self.gain_high - self.gain_low)),
            _log_uniform(self.cutoff_low, self.cutoff_high, cutoff) if kernel < self.share else None,
            new_pixel_mm if zoomed < self.share else None,
        )

    def pixels(self, pixel_mm: float) -> tuple[float, float]:
        """Return the (smallest, largest) pixel size in mm to which a slice with pixels of ``pixel_mm`` is resampled."""
        low, high = (
            float(np.clip(limit, pixel_mm / MAX_ZOOM, pixel_mm * MAX_ZOOM))
            for limit in (self.pixel_low, self.pixel_high)
        )
        return low, high


def _log_uniform(low: float, high: float, chance: float) -> float:
    return float(low * (high / low) ** chance)


def apply_variation(low: HU, full: HU, variation: PatchVariation, pixel_mm: float, own: float | None, side: int) -> HU:
    """Apply a variation to a patch and its neighbours.

    low, full: (2c+1, k, k) HU each. own: cut-off frequency (1/mm) of the kernel that the images were made with, None =
    unknown. Returns (2c+2, side, side) HU: all low-dose images, then the full-dose image of the middle slice. The
    outer ``MARGIN`` pixels are not reliable.
    """
    if variation.gain != 1:
        low = full + np.float32(variation.gain) * (low - full)
    images = np.concatenate([low, full[len(full) // 2, None]])
    if variation.cutoff is None and side == images.shape[-1]:
        return images
    return convert_kernel(images, pixel_mm, cutoff=variation.cutoff, own=own, side=side)


def draw_dropped(count: int, rng: np.random.Generator) -> list[int]:
    """Return which of ``count`` = 2c+1 images the middle one replaces: the neighbours on each side at random."""
    middle = count // 2
    sides = (range(middle), range(middle + 1, count))
    return [place for side in sides if middle and rng.random() < CONTEXT_DROP_RATE for place in side]


def draw_slice(count: int, complete: Sequence[int], rng: np.random.Generator) -> int:
    """Draw one of ``count`` slices, with a probability of at least ``COMPLETE_SHARE`` one of ``complete``."""
    which = int(rng.integers(count))
    rare = 0 < len(complete) < COMPLETE_SHARE * count
    if rare and rng.random() * (1 - len(complete) / count) < COMPLETE_SHARE - len(complete) / count:
        return complete[int(rng.integers(len(complete)))]
    return which


class ChosenWindow(NamedTuple):
    """Where a patch is cropped from, and how it is varied.

    Attributes
    ----------
    rng : Generator
        Generator of the patch, for what is drawn next.
    number : int
        Number of the slice.
    images : PatchSource
        The slice.
    pixel_mm : mm
        Its pixel size.
    variation : PatchVariation
        How the patch is varied.
    window : (slice, slice)
        Rows and columns to crop.
    """

    rng: np.random.Generator
    number: int
    images: PatchSource
    pixel_mm: float
    variation: PatchVariation
    window: Region


def draw_turn(rng: np.random.Generator) -> tuple[int, bool]:
    """Draw the quarter turns of a patch, and whether it is mirrored."""
    return int(rng.integers(4)), bool(rng.integers(2))


def lesion_template(
    lesion: PatchLesion | None, variation: PatchVariation, pixel_mm: float, own: float | None, side: int
) -> HU:
    """Return the template of a lesion that was inserted before the variation, without margins; 0 if there is none.

    Other arguments as in ``apply_variation``. The template is (side - 2 * MARGIN, side - 2 * MARGIN).
    """
    if lesion is None:
        return np.zeros((side - 2 * MARGIN, side - 2 * MARGIN), np.float32)
    middle = lesion.added[len(lesion.added) // 2, None]
    profile = apply_variation(middle, middle, replace(variation, gain=1.0), pixel_mm, own, side)[
        0, MARGIN:-MARGIN, MARGIN:-MARGIN
    ]
    zoom = side / middle.shape[-1]
    y, x = ((place + 0.5) * zoom - 0.5 - MARGIN for place in (lesion.y, lesion.x))
    return contrast_template(profile, y, x, lesion.diameter_px * zoom, lesion.contrast_hu)


class Patches(Dataset[tuple[torch.Tensor, ...]]):
    """Random training patches: item n is (low, full, dose), in HU.

    ``low`` is (2c+1, size, size), ``full`` is (1, size, size); ``dose`` is the dose of ``low`` as a fraction of that of
    ``full``. Slice, position, flip and quarter turns are random. With a ``lesion_share`` above 0, lesions are inserted
    into that share of the patches, as far as they have room (``patch_lesions``), and item n is (low, full, dose,
    lesion) with the field ``lesion`` of ``PairedBatch``, (1, size, size).
    """

    def __init__(
        self, slices: PatchSources, size: int, augmentation: Augmentation, seed: int, lesion_share: float = 0.0
    ) -> None:
        self.slices, self.size, self.augmentation, self.seed = slices, size, augmentation, seed
        self.lesion_share = lesion_share

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        """Return patch ``index``, which depends on (seed, index) only."""
        rng, which, images, pixel, variation, window = self.choose(index)
        low, full, dose = images.crop(window, rng)
        side = self.size + 2 * MARGIN
        lesion = self._insert_lesion(index, low, full, self.slices.items[which], MARGIN * low.shape[-1] / side)
        dropped = draw_dropped(len(low), rng)
        low[dropped], full[dropped] = low[len(low) // 2], full[len(low) // 2]
        varied = apply_variation(low, full, variation, pixel, images.cutoff, side)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        if self.lesion_share > 0:
            template = lesion_template(lesion, variation, pixel, images.cutoff, side)
            varied = np.concatenate([varied, template[None]])
        turns, mirrored = draw_turn(rng)
        rotated = np.rot90(varied, turns, (1, 2))
        patch = torch.from_numpy((rotated[..., ::-1] if mirrored else rotated).copy())
        count, dose_tensor = len(low), torch.tensor(dose, dtype=torch.float32)
        parts = patch[:count], patch[count : count + 1], dose_tensor
        return (*parts, patch[count + 1 :]) if self.lesion_share > 0 else parts

    def choose(self, index: int) -> ChosenWindow:
        """Choose slice, variation and window of patch ``index``."""
        rng = np.random.default_rng((self.seed, index))
        which = draw_slice(len(self.slices), self.slices.complete, rng)
        images, pixel = self.slices[which], self.slices.items[which].pixel_mm or UNKNOWN_PIXEL_MM
        variation, side = self.augmentation.draw(pixel, rng), self.size + 2 * MARGIN
        crop_side = min(round(side * (variation.pixel_mm or pixel) / pixel), *images.shape)
        return ChosenWindow(rng, which, images, pixel, variation, self._crop(images, crop_side, rng))

    def _insert_lesion(self, index: int, low: HU, full: HU, item: PairedSlice, border_px: float) -> PatchLesion | None:
        """Insert a lesion into both images, in place, in ``lesion_share`` of the patches; return it."""
        rng = np.random.default_rng((self.seed, index, LESION_STREAM))
        if rng.random() >= self.lesion_share:
            return None
        thickness = item.thickness_mm or UNKNOWN_THICKNESS_MM
        overlap = item.stack_position.overlap if item.stack_position else 0.0
        step = max(1.0 - overlap, 0.05) * thickness
        lesion = draw_lesion(full, item.pixel_mm or UNKNOWN_PIXEL_MM, thickness, step, border_px, rng)
        if lesion is not None:
            low += lesion.added
            full += lesion.added
        return lesion

    def _crop(self, images: PatchSource, side: int, rng: np.random.Generator) -> Region:
        """Choose, of two random windows, the one with more tissue, since much of a slice is air."""
        check_patch(self.size, images.shape)
        corners = [[int(rng.integers(n - side + 1)) for n in images.shape] for _ in range(2)]
        windows = [(slice(y, y + side), slice(x, x + side)) for y, x in corners]
        return max(windows, key=images.tissue_pixels)


def check_patch(size: int, shape: tuple[int, ...]) -> None:
    """Raise InvalidSetting when patches of ``size`` pixels a side do not fit into slices of this shape."""
    largest = min(shape) - 2 * MARGIN
    if size <= largest:
        return
    fitting = largest // USUAL_MULTIPLE * USUAL_MULTIPLE
    way_out = f"--set patch={fitting}, or leave out such series" if fitting > 0 else "leave out such series"
    raise InvalidSetting(
        f"slices of {shape[0]} x {shape[1]} pixels are too small for patches of {size} and {MARGIN} around them: "
        f"{way_out}"
    )


def batches(
    patches: Patches, size: int, first: int, last: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[PairedBatch]:
    """Yield the batches of steps first..last-1 for process ``rank`` of ``world``.

    ``size`` is the batch size of one process; all processes together see size * world patches a step.
    """
    # A generator: the last step may be far away, where a time limit ends the run.
    numbers = (list(patch_numbers(step, size, rank, world)) for step in range(first, last))
    for step, parts in enumerate(DataLoader(patches, batch_sampler=numbers, num_workers=workers), start=first):
        yield PairedBatch(*parts)._replace(number=torch.tensor(patch_numbers(step, size, rank, world)))


def patch_numbers(step: int, size: int, rank: int, world: int) -> range:
    """Return the numbers of the patches that process ``rank`` of ``world`` sees in a step."""
    start = (step * world + rank) * size
    return range(start, start + size)

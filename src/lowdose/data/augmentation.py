"""Random variations of patches: another dose, another reconstruction kernel, other pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lowdose.data.patch_lesions import PatchLesion, contrast_template
from lowdose.data.transforms.kernel_conversion import convert_kernel
from lowdose.image import HU

MARGIN = 8
"""Pixels cropped around each patch and cut off again, since filters are not reliable near an edge."""
MAX_ZOOM = 2.0
"""Largest factor by which pixels are made larger or smaller."""


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


def apply_variation(
    low: HU,
    full: HU,
    variation: PatchVariation,
    pixel_mm: float,
    own: float | None,
    side: int,
    neighbours: bool = False,
) -> HU:
    """Apply a variation to a patch and its neighbours.

    low, full: (2c+1, k, k) HU each. own: cut-off frequency (1/mm) of the kernel that the images were made with, None =
    unknown. Returns (2c+2, side, side) HU: all low-dose images, then the full-dose image of the middle slice; with
    ``neighbours``, all full-dose images, (4c+2, side, side). The outer ``MARGIN`` pixels are not reliable.
    """
    if variation.gain != 1:
        low = full + np.float32(variation.gain) * (low - full)
    images = np.concatenate([low, full if neighbours else full[len(full) // 2, None]])
    if variation.cutoff is None and side == images.shape[-1]:
        return images
    return convert_kernel(images, pixel_mm, cutoff=variation.cutoff, own=own, side=side)


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

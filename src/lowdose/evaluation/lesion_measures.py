"""What is measured of a lesion in one image: texture, fidelity and the contrast that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lowdose.boxes import Box
from lowdose.hounsfield import SOFT_TISSUE, Window
from lowdose.image import HU
from lowdose.metrics.fidelity import psnr, rmse
from lowdose.metrics.glcm_texture import ANGLES, DISTANCE_PX, LEVELS, co_occurrence
from lowdose.metrics.lesion_contrast import contrast_kept, lesion_core
from lowdose.metrics.structural_similarity import ssim, ssim_map
from lowdose.phantom.slice_lesions import SliceLesion

MARGIN_PX = 2
"""Pixels around the box of a lesion that belong to its region."""
LUNG = Window(-1350.0, 150.0)
WINDOWS: Mapping[str, Window] = {"lung": LUNG}
"""Window of the lesions of an organ; elsewhere that of soft tissue."""
AROUND_PX = 8
"""Pixels around the region that the windows of SSIM reach."""
TEXTURE = ("correlation", "homogeneity", "energy")
FIDELITY = ("rmse", "psnr", "ssim")

SETTINGS = {
    "region": f"the box around the pixels that the lesion fills at least half, and {MARGIN_PX} pixels around it",
    "window": f"{LUNG} for lesions of the lung, {SOFT_TISSUE} for others and for whole slices; images are clipped to "
    "it",
    "texture": f"co-occurrence of neighbours at a distance of {DISTANCE_PX} pixel at "
    f"{', '.join(f'{np.degrees(angle):.0f}' for angle in ANGLES)} degrees, both ways, {LEVELS} grey levels of the "
    "window, mean over the angles",
    "fidelity": "data range: the width of the window; SSIM of Wang 2004, in regions the mean of its map",
    "contrast_kept": "mean change by the lesion within 0.6 radii of its centre, over the change that was inserted; "
    "every image is made with the lesions and without them",
}
"""How each thing is measured."""


@dataclass(frozen=True)
class ImagePair:
    """An image of a slice with lesions and without them, (y, x) HU."""

    seen: HU
    without: HU


def region_of(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of the region of a lesion."""
    top, left, bottom, right = (int(edge) for edge in box)
    return _grown((slice(top, bottom), slice(left, right)), MARGIN_PX, shape)


def window_of(organ: str) -> Window:
    """Return the window that a lesion of an organ is measured and shown in."""
    return WINDOWS.get(organ, SOFT_TISSUE)


def measure_slice(image: HU, full: HU) -> dict[str, float]:
    """Return RMSE (HU), PSNR (dB) and SSIM of a slice (y, x) against full dose, in the window of soft tissue."""
    seen, wanted = SOFT_TISSUE.apply(image), SOFT_TISSUE.apply(full)
    return {
        "rmse": rmse(seen, wanted) * SOFT_TISSUE.width,
        "psnr": psnr(seen, wanted, 1.0),
        "ssim": ssim(seen, wanted, 1.0),
    }


def measure_lesion(lesion: SliceLesion, image: ImagePair, full: HU, added: HU, pixel_mm: float) -> dict[str, float]:
    """Return what is measured of a lesion in an image; what compares with full dose only where that is another image.

    full, added: full dose with the lesions, and what they add, (y, x) HU.
    """
    region, window = region_of(lesion.box, full.shape), window_of(lesion.organ)
    core = lesion_core(full.shape, lesion.centre, lesion.diameter_mm / pixel_mm)
    values = {"contrast_kept": contrast_kept(image.seen - image.without, added, core)}
    values |= co_occurrence(image.seen[region], window)._asdict()
    return values if image.seen is full else values | _fidelity(image.seen, full, region, window)


def _fidelity(image: HU, full: HU, region: tuple[slice, slice], window: Window) -> dict[str, float]:
    around = _grown(region, AROUND_PX, full.shape)
    inner = tuple(
        slice(inside.start - outside.start, inside.stop - outside.start)
        for inside, outside in zip(region, around, strict=True)
    )
    seen, wanted = window.apply(image[around]), window.apply(full[around])
    return {
        "roi_rmse": rmse(seen[inner], wanted[inner]) * window.width,
        "roi_psnr": psnr(seen[inner], wanted[inner], 1.0),
        "roi_ssim": float(ssim_map(seen, wanted, 1.0)[inner].mean()),
    }


def _grown(region: tuple[slice, slice], pixels: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(0, part.start - pixels), min(side, part.stop + pixels))
        for part, side in zip(region, shape, strict=True)
    )
    return rows, columns

"""What is measured of a lesion in one image: texture, fidelity and the contrast that is kept."""

from __future__ import annotations

import numpy as np

from lowdose.evaluation.lesion_marks import ANNOTATED, MARGIN_PX, MarkedLesion, grown, region_of
from lowdose.hounsfield import LUNG, LUNG_BELOW_HU, SOFT_TISSUE, Window
from lowdose.image import HU
from lowdose.metrics.fidelity import psnr, rmse
from lowdose.metrics.glcm_texture import ANGLES, DISTANCE_PX, LEVELS, co_occurrence
from lowdose.metrics.lesion_contrast import contrast_kept
from lowdose.metrics.structural_similarity import ssim, ssim_map

AROUND_PX = 8
"""Pixels around the region that the windows of SSIM reach."""
TEXTURE = ("correlation", "homogeneity", "energy")
FIDELITY = ("rmse", "psnr", "ssim")

LEAST_HU = 10.0
"""Contrast of an annotated lesion at full dose from which the share of it that an image keeps is measured."""

SETTINGS = {
    "region": f"the box around the lesion, and {MARGIN_PX} pixels around it",
    "window": f"{LUNG} for lesions with less than {LUNG_BELOW_HU:g} HU around them, {SOFT_TISSUE} for others and for "
    "whole slices; images are clipped to it",
    "texture": f"co-occurrence of neighbours at a distance of {DISTANCE_PX} pixel at "
    f"{', '.join(f'{np.degrees(angle):.0f}' for angle in ANGLES)} degrees, both ways, {LEVELS} grey levels of the "
    "window, mean over the angles",
    "fidelity": "data range: the width of the window; SSIM of Wang 2004, in regions the mean of its map",
}
"""How each thing is measured."""
INSERTED = {
    "contrast_kept": "mean change by the lesion within 0.6 radii of its centre, over the change that was inserted; "
    "every image is made with the lesions and without them, so that noise cancels",
}
OBSERVED = {
    "contrast_kept": "mean of the lesion less that of a ring around it, over the same at full dose, noise included; of "
    f"lesions with at least {LEAST_HU:g} HU",
}
"""How contrast is measured where lesions are inserted, and where they are annotated."""


def measure_slice(image: HU, full: HU) -> dict[str, float]:
    """Return RMSE (HU), PSNR (dB) and SSIM of a slice (y, x) against full dose, in the window of soft tissue."""
    seen, wanted = SOFT_TISSUE.apply(image), SOFT_TISSUE.apply(full)
    return {
        "rmse": rmse(seen, wanted) * SOFT_TISSUE.width,
        "psnr": psnr(seen, wanted, 1.0),
        "ssim": ssim(seen, wanted, 1.0),
    }


def measure_lesion(mark: MarkedLesion, image: HU, full: HU, change: HU, whole: HU) -> dict[str, float]:
    """Return what is measured of a lesion in an image; what compares with full dose only where that is another image.

    change, whole: what its contrast is measured in, of the image and of full dose, see ``lesion_views.View``. The share
    of the contrast is left out where an annotated lesion has next to none.
    """
    lesion = mark.lesion
    region = region_of(lesion.box, full.shape)
    values: dict[str, float] = co_occurrence(image[region], lesion.window)._asdict()
    if lesion.shape != ANNOTATED or abs(lesion.contrast_hu) >= LEAST_HU:
        values["contrast_kept"] = contrast_kept(change, whole, mark.weights)
    return values if image is full else values | _fidelity(image, full, region, lesion.window)


def _fidelity(image: HU, full: HU, region: tuple[slice, slice], window: Window) -> dict[str, float]:
    around = grown(region, AROUND_PX, full.shape)
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

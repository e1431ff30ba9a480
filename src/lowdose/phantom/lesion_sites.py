"""Where a slice has room for lesions: in organs whose labels are known, or in tissue found by its HU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lowdose.image import HU, Mask
from lowdose.organ_classes import INDEX
from lowdose.phantom.lesion_kinds import LESION_ORGANS, SOFT_TISSUE

SMOOTH_MM, UNEVEN_MM = 2.5, 4.0
"""SD in mm of the Gaussians by which noise is smoothed, and over which the spread of the smoothed image is measured."""

TISSUES_HU = {SOFT_TISSUE: (-10.0, 180.0), "lung": (-940.0, -650.0)}
"""Range in HU of the smoothed image in each tissue that is found without labels; air around the body lies below."""

MAX_SPREAD_HU = {SOFT_TISSUE: 12.0, "lung": 45.0}
"""Largest SD of the smoothed image over ``UNEVEN_MM``, HU: it is larger at edges and at vessels, and where the noise of
full dose has an SD of more than about 100 HU.
"""


def organ_masks(classes: NDArray[Any], organs: Sequence[str] = LESION_ORGANS) -> dict[str, Mask]:
    """Return by name the (y, x) masks of the ``organs`` of a slice that are there.

    ``classes`` holds indices of ``organ_classes``, as ``networks.segmentation.segment_slice`` and
    ``organ_classes.classes_of`` give them.
    """
    masks = {name: np.asarray(classes == INDEX[name]) for name in organs if name in INDEX}
    return {name: mask for name, mask in masks.items() if mask.any()}


def without_vessels(hu: HU, organ: Mask, name: str, pixel_mm: float) -> Mask:
    """Return the part of the organ (y, x) that does not stand out of it.

    A lesion on a vessel would be measured together with the vessel.
    """
    smooth = gaussian_filter(hu, SMOOTH_MM / pixel_mm)
    if name == "lung":
        return organ & (smooth < -650)
    return organ & (np.abs(smooth - np.median(smooth[organ])) < 25) if organ.any() else organ


def even_tissue(hu: HU, pixel_mm: float) -> dict[str, Mask]:
    """Return (y, x) masks of even soft tissue and lung of a slice or a part of it, found by HU and local spread.

    The image is smoothed against noise; tissue is where that lies in the range of the tissue and has little spread
    around. Without labels, soft tissue is any organ, muscle or blood.
    """
    smooth = gaussian_filter(hu.astype(np.float32), SMOOTH_MM / pixel_mm)
    # Without the mean, whose square would leave no digits for the spread.
    centred = smooth - smooth.mean()
    mean, square = (gaussian_filter(image, UNEVEN_MM / pixel_mm) for image in (centred, centred * centred))
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    return {
        name: (smooth > low) & (smooth < high) & (spread < MAX_SPREAD_HU[name])
        for name, (low, high) in TISSUES_HU.items()
    }

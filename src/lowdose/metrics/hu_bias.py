"""CT numbers per tissue: whether a denoiser shifted the HU of what it smoothed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter

from lowdose.errors import GeometryMismatch
from lowdose.hounsfield import Window
from lowdose.image import HU, Mask

TISSUES: Mapping[str, Window] = MappingProxyType(
    {
        "lung": Window(-950.0, -600.0),
        "fat": Window(-150.0, -50.0),
        "soft tissue": Window(0.0, 80.0),
        "enhanced": Window(90.0, 250.0),
        "bone": Window(300.0, 1200.0),
    }
)
SMOOTH_PX = 2.0
ERODE_PX = 3
FEWEST_PIXELS = 400


def tissue_masks(mask_source: HU, valid: Mask | None = None) -> dict[str, Mask]:
    """Cores of the tissues of one slice (y, x) in HU; a tissue of fewer than 400 pixels is left out.

    Taken from the smoothed image, since thresholds on a noisy one select the noise itself; eroded, since the edge of
    a region is partial volume. Compare images on masks of one source, best the reference.
    """
    valid = np.ones(mask_source.shape, dtype=np.bool_) if valid is None else valid
    if mask_source.ndim != 2 or valid.shape != mask_source.shape:
        raise GeometryMismatch(f"tissues need a slice and its mask, not {mask_source.shape} and {valid.shape}")
    smooth = gaussian_filter(np.where(valid, mask_source, -1000.0), SMOOTH_PX)
    masks: dict[str, Mask] = {}
    for tissue, window in TISSUES.items():
        region = valid & (smooth >= window.low) & (smooth <= window.high)
        core = np.asarray(binary_erosion(region, iterations=ERODE_PX), dtype=np.bool_)
        if np.count_nonzero(core) >= FEWEST_PIXELS:
            masks[tissue] = core
    return masks


def tissue_means(mask_source: HU, *images: HU, valid: Mask | None = None) -> dict[str, tuple[float, ...]]:
    """Mean HU of each image (y, x) in each tissue of ``mask_source``: {tissue: one mean per image}."""
    for image in images:
        if image.shape != mask_source.shape:
            raise GeometryMismatch(f"an image of {image.shape} does not fit tissues of {mask_source.shape}")
    return {
        tissue: tuple(float(image[core].mean(dtype=np.float64)) for image in images)
        for tissue, core in tissue_masks(mask_source, valid).items()
    }


def tissue_bias(image: HU, reference: HU, mask_source: HU, valid: Mask | None = None) -> dict[str, float]:
    """Mean HU of ``image`` minus mean HU of ``reference`` per tissue of ``mask_source``; all (y, x)."""
    means = tissue_means(mask_source, image, reference, valid=valid)
    return {tissue: of_image - of_reference for tissue, (of_image, of_reference) in means.items()}

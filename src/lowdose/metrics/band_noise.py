"""Noise in bands of spatial frequency, measured in one slice without a reference."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter, minimum_filter, uniform_filter

from lowdose.image import HU, Mask
from lowdose.metrics.checks import check_slice
from lowdose.metrics.fidelity import Image64
from lowdose.metrics.noise_estimate import SOFT_TISSUE_HU, window_side

WIDTHS_MM = (0.0, 0.5, 0.8, 1.25, 2.0)
"""SDs of the Gaussians whose differences are the bands, mm."""
FLAT_SHARE = 0.25
"""Share of the soft tissue, the flattest, in which noise is measured."""
FEWEST_PIXELS = 200


def noise_bands(hu: HU, valid: Mask, pixel_mm: float) -> tuple[float, ...] | None:
    """Measure the SD of the noise in four bands of spatial frequency, in the flattest soft tissue.

    The bands are differences of Gaussians with SDs of 0, 0.5, 0.8, 1.25 and 2 mm. In each, the median of the local SD
    in windows of 6.5 mm is taken over the quarter of the soft tissue with the smallest gradient at 2 mm. That scale
    lies below all bands, so that choosing flat tissue does not choose weak noise. The ratio of two bands tells the
    texture of the noise, whatever the dose.

    Parameters
    ----------
    hu : ndarray of float32, shape (y, x)
        Slice in HU.
    valid : ndarray of bool, shape (y, x)
        Pixels that may be used, without padding.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    tuple of float, or None
        SD in HU of each band, finest first; None if there is too little soft tissue.

    Raises
    ------
    GeometryMismatch
        If ``hu`` is not two-dimensional or ``valid`` has another shape.
    InvalidSetting
        If ``pixel_mm`` is not positive.

    Examples
    --------
    Bands fall with the dose like the noise itself:

    >>> import numpy as np
    >>> from lowdose.metrics import noise_bands
    >>> noise = np.random.default_rng(0).normal(0, 20, (128, 128)).astype(np.float32)
    >>> valid = np.ones(noise.shape, bool)
    >>> strong, weak = noise_bands(40 + noise, valid, 0.7), noise_bands(40 + noise / 2, valid, 0.7)
    >>> [round(one / other, 2) for one, other in zip(strong, weak)]
    [2.0, 2.0, 2.0, 2.0]
    """
    check_slice(hu, valid, pixel_mm, "noise")
    image = np.where(valid, hu, np.float32(-1000.0)).astype(np.float64)
    flat = flat_tissue(image, valid, pixel_mm)
    if flat is None:
        return None
    smooth = [image if width == 0 else gaussian_filter(image, width / pixel_mm) for width in WIDTHS_MM]
    bands = [fine - coarse for fine, coarse in pairwise(smooth)]
    return tuple(float(np.sqrt(local_covariance(band, band, flat, pixel_mm))) for band in bands)


def flat_tissue(image: Image64, valid: Mask, pixel_mm: float) -> Mask | None:
    """Return the mask (y, x) of the flattest quarter of the soft tissue, or None where there is too little.

    Flat is where the gradient of the image, smoothed by 2 mm, is small on average over a local window.
    """
    smooth, window = gaussian_filter(image, WIDTHS_MM[-1] / pixel_mm), window_side(pixel_mm)
    soft = (smooth > SOFT_TISSUE_HU[0]) & (smooth < SOFT_TISSUE_HU[1]) & valid
    inside = minimum_filter(soft.astype(np.uint8), window, mode="constant").astype(np.bool_)
    if inside.sum() < FEWEST_PIXELS:
        return None
    slope = uniform_filter(np.hypot(*np.gradient(smooth)), window)
    flat: Mask = inside & (slope <= np.quantile(slope[inside], FLAT_SHARE))
    return flat


def local_covariance(one: Image64, other: Image64, where: Mask, pixel_mm: float) -> float:
    """Return the median over a mask of the covariance of two images (y, x) in local windows, at least 0."""
    window = window_side(pixel_mm)
    mean = uniform_filter(one, window)
    other_mean = mean if other is one else uniform_filter(other, window)
    product = uniform_filter(one * other, window) - mean * other_mean
    return max(0.0, float(np.median(product[where])))

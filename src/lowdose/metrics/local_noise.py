"""Noise maps: the local standard deviation (SD) of a residual or of a difference of images."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import Mask
from lowdose.metrics.fidelity import Image, Image64, as_pair

SIGMA_PX = 10.0
"""Standard deviation of the Gaussian averaging window, in pixels."""


def noise_map(residual: Image, region: Mask | None = None, sigma_px: float = SIGMA_PX) -> Image64:
    """Compute the local standard deviation of an image without anatomy, such as a residual.

    The local SD is sqrt(G(x^2) - (G x)^2), where G averages under a Gaussian window over the region only:
    G x = (g * (m x)) / (g * m) for a mask m and a Gaussian g. This is normalised convolution [1]_, so that pixels
    beyond the edge of the body do not count.

    Parameters
    ----------
    residual : ndarray of float, shape (y, x)
        Image without anatomy: a residual or a difference of two images.
    region : ndarray of bool, shape (y, x), optional
        Pixels to use, for example the body. All pixels by default.
    sigma_px : float, default 10
        Standard deviation of the Gaussian window, in pixels.

    Returns
    -------
    ndarray of float64, shape (y, x)
        Local SD in the unit of ``residual``; NaN outside ``region``.

    Raises
    ------
    GeometryMismatch
        If ``residual`` is not two-dimensional or ``region`` has another shape.
    InvalidSetting
        If ``region`` is empty or contains values that are not finite, or if ``sigma_px`` is not finite and positive.

    References
    ----------
    .. [1] Knutsson & Westin, "Normalized and differential convolution", CVPR 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import noise_map
    >>> noise = np.random.default_rng(0).normal(0, 20, (128, 128))
    >>> round(float(np.median(noise_map(noise))))
    20
    """
    region = np.ones(residual.shape, dtype=np.bool_) if region is None else region
    if residual.ndim != 2 or region.shape != residual.shape:
        raise GeometryMismatch(f"a noise map needs a plane and its region, not {residual.shape} and {region.shape}")
    if not (math.isfinite(sigma_px) and sigma_px > 0):
        raise InvalidSetting(f"sigma {sigma_px} px of the noise map: needs a positive number")
    values = _inside(residual, region)
    # Subtracting the mean does not change the SD, but keeps the difference of the two squares from losing digits.
    x = np.where(region, np.asarray(residual, dtype=np.float64) - values.mean(), 0.0)
    weight = np.where(region, gaussian_filter(region.astype(np.float64), sigma_px, mode="constant"), 1.0)
    mean, square = (gaussian_filter(moment, sigma_px, mode="constant") / weight for moment in (x, x * x))
    local: Image64 = np.sqrt(np.maximum(square - mean**2, 0.0))
    return np.where(region, local, np.nan)


def noise_map_correlation(first: Image64, second: Image64, region: Mask) -> float:
    """Compute the Pearson correlation of two noise maps over a region.

    It tells whether two images have their noise in the same places, whatever its overall level.

    Parameters
    ----------
    first, second : ndarray of float, shape (y, x)
        Noise maps, as ``noise_map`` returns them.
    region : ndarray of bool, shape (y, x)
        Pixels to use; both maps must be finite there.

    Returns
    -------
    float
        Correlation coefficient from -1 to 1; 1 if the spatial distribution of the noise is the same.

    Raises
    ------
    GeometryMismatch
        If the shapes differ.
    InvalidSetting
        If ``region`` has fewer than two pixels or contains NaN or infinity, or if a map is constant there, which has
        no correlation.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import noise_map, noise_map_correlation
    >>> rng = np.random.default_rng(0)
    >>> sd = np.tile(np.linspace(10, 30, 64), (64, 1))
    >>> first, second = (noise_map(sd * rng.normal(size=sd.shape), sigma_px=5) for _ in range(2))
    >>> noise_map_correlation(first, second, np.ones(sd.shape, bool)) > 0.9
    True
    """
    a, b = as_pair(first, second)
    if region.shape != a.shape:
        raise GeometryMismatch(f"a region of {region.shape} does not fit noise maps of {a.shape}")
    left, right = (_inside(image, region) for image in (a, b))
    left, right = left - left.mean(), right - right.mean()
    spread = math.sqrt(float(left @ left) * float(right @ right))
    if spread == 0.0:
        raise InvalidSetting(
            f"a noise map is constant over the {left.size} pixels of the region: it has no correlation"
        )
    return float(left @ right) / spread


def _inside(image: Image, region: Mask) -> Image64:
    """Return the values (n,) in the region, or raise InvalidSetting if there are none or some are not finite."""
    values = np.asarray(image, dtype=np.float64)[region]
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if values.size == 0 or bad:
        what = f"{bad} of its {values.size} pixels are not finite" if bad else "it has no pixel"
        raise InvalidSetting(f"the region cannot be measured: {what}; leave them out of the region")
    return values

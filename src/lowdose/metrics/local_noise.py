"""Where in an image the noise is strong: the local SD of a residual or a difference of images."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import Mask
from lowdose.metrics.fidelity import Image, Image64, as_pair

SIGMA_PX = 10.0


def noise_map(residual: Image, region: Mask | None = None, sigma_px: float = SIGMA_PX) -> Image64:
    """Local SD sqrt(G(x^2) - (G x)^2) of a plane (y, x) without anatomy, in its unit; NaN outside ``region``.

    G is the mean under a Gaussian of ``sigma_px`` pixels over the region alone: G x = g * (m x) / g * m, the normalised
    convolution of Knutsson and Westin (CVPR 1993), so that what lies beyond the edge of the body does not count.
    Raises GeometryMismatch for shapes that do not fit, InvalidSetting for an empty region, a sigma or values that are
    no numbers.
    """
    region = np.ones(residual.shape, dtype=np.bool_) if region is None else region
    if residual.ndim != 2 or region.shape != residual.shape:
        raise GeometryMismatch(f"a noise map needs a plane and its region, not {residual.shape} and {region.shape}")
    if not (math.isfinite(sigma_px) and sigma_px > 0):
        raise InvalidSetting(f"sigma {sigma_px} px of the noise map: needs a positive number")
    values = _inside(residual, region)
    # Less the mean, which changes nothing but keeps the difference of the two squares from losing its digits.
    x = np.where(region, np.asarray(residual, dtype=np.float64) - values.mean(), 0.0)
    weight = np.where(region, gaussian_filter(region.astype(np.float64), sigma_px, mode="constant"), 1.0)
    mean, square = (gaussian_filter(moment, sigma_px, mode="constant") / weight for moment in (x, x * x))
    local: Image64 = np.sqrt(np.maximum(square - mean**2, 0.0))
    return np.where(region, local, np.nan)


def noise_map_correlation(first: Image64, second: Image64, region: Mask) -> float:
    """Pearson correlation of two noise maps (y, x) over ``region``: 1 where both place the noise alike.

    Raises GeometryMismatch for shapes that do not fit, InvalidSetting for a region of less than two pixels or with
    NaN in it, and for a map that is constant there, which correlates with nothing.
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
    """The values in the region (n,), all finite, or InvalidSetting."""
    values = np.asarray(image, dtype=np.float64)[region]
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if values.size == 0 or bad:
        what = f"{bad} of its {values.size} pixels are not finite" if bad else "it has no pixel"
        raise InvalidSetting(f"the region cannot be measured: {what}; leave them out of the region")
    return values

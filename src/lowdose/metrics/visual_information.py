"""Pixel-domain visual information fidelity (Sheikh and Bovik, IEEE TIP 2006, eq. 15; their 'VIFp' variant).

Four scales, Gaussian windows of 17, 9, 5 and 3 pixels (sigma = size / 5), only where the window fits.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.fidelity import Image, Image64, as_pair, check_range

NOISE_VARIANCE = 2.0
"""sigma_n^2, the variance of the eye's own noise, on the scale of the data as they are compared."""

SMALLEST = 41
"""Pixels per side below which the coarsest scale has no window left."""

_WINDOWS = (17, 9, 5, 3)
_TINY = 1e-10


def _local_mean(image: Image64, size: int) -> Image64:
    """Gaussian mean where the window fits: (y, x) -> (y - size + 1, x - size + 1)."""
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * (size / 5) ** 2))
    weights /= weights.sum()
    inside = slice(size // 2, -(size // 2))
    rows: Image64 = correlate1d(image, weights, axis=0)[inside]
    both: Image64 = correlate1d(rows, weights, axis=1)[:, inside]
    return both


def _information(image: Image64, reference: Image64, size: int) -> tuple[float, float]:
    """What the eye receives of the reference at one scale: through the image, and directly."""
    mean_i, mean_r = _local_mean(image, size), _local_mean(reference, size)
    var_i = np.maximum(_local_mean(image**2, size) - mean_i**2, 0.0)
    var_r = np.maximum(_local_mean(reference**2, size) - mean_r**2, 0.0)
    cov = _local_mean(image * reference, size) - mean_i * mean_r

    # Model: image = gain * reference + distortion. A flat patch, or one of negative gain, carries no information.
    informative = (var_r >= _TINY) & (var_i >= _TINY) & (cov > 0)
    gain = np.where(informative, cov / (var_r + _TINY), 0.0)
    distortion = np.maximum(var_i - gain * cov, _TINY)
    var_r = np.where(var_r >= _TINY, var_r, 0.0)
    received = np.log1p(gain**2 * var_r / (distortion + NOISE_VARIANCE)).sum()
    return float(received), float(np.log1p(var_r / NOISE_VARIANCE).sum())


def vif(image: Image, reference: Image, *, data_range: float, scaled_to: float) -> float:
    """VIF of ``image`` (y, x) given ``reference``: 1 for equal images, 0 for no information left, > 1 if sharpened.

    The order of the images matters. So does the scale, since sigma_n^2 = 2 is fixed: the data are multiplied by
    ``scaled_to / data_range`` first (255 as the paper and piq do; ``scaled_to = data_range`` takes them as they are).
    """
    if image.ndim != 2 or min(image.shape) < SMALLEST:
        raise GeometryMismatch(f"VIF needs an image of at least {SMALLEST} x {SMALLEST} pixels, not {image.shape}")
    if not scaled_to > 0:
        raise InvalidSetting(f"VIF scale {scaled_to}: needs a positive number")
    x, y = (array * (scaled_to / check_range(data_range)) for array in as_pair(image, reference))
    received = available = 0.0
    for level, size in enumerate(_WINDOWS):
        if level > 0:
            x, y = _local_mean(x, size)[::2, ::2], _local_mean(y, size)[::2, ::2]
        through_image, directly = _information(x, y, size)
        received, available = received + through_image, available + directly
    return (received + _TINY) / (available + _TINY)

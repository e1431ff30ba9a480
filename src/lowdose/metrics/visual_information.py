"""Visual information fidelity (VIF) in the pixel domain.

Sheikh & Bovik, IEEE TIP 2006, eq. 15, in their variant "VIFp": four scales with Gaussian windows of 17, 9, 5 and 3
pixels (sigma = size / 5), only where the window fits into the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import correlate1d

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.fidelity import Image, Image64, as_pair, check_range

NOISE_VARIANCE = 2.0
"""Variance sigma_n^2 of the noise of the human visual system, on the scale to which the images are brought."""

MIN_SIZE = 41
"""Pixels per side from which on a window fits into the coarsest scale."""

_WINDOWS = (17, 9, 5, 3)
_EPS = 1e-10
"""Added to denominators, and the variance below which a patch counts as flat."""


class Moments(NamedTuple):
    """An image at one scale, and its local mean and variance where the window fits."""

    image: Image64
    mean: Image64
    variance: Image64


def _local_mean(image: Image64, size: int) -> Image64:
    """Compute the Gaussian-weighted local mean where the window fits: (y, x) -> (y - size + 1, x - size + 1)."""
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * (size / 5) ** 2))
    weights /= weights.sum()
    inside = slice(size // 2, -(size // 2))
    rows: Image64 = correlate1d(image, weights, axis=0)[inside]
    both: Image64 = correlate1d(rows, weights, axis=1)[:, inside]
    return both


def vif_moments(image: Image64, data_range: float, scaled_to: float) -> Sequence[Moments]:
    """Compute the moments of one image (y, x) at every scale; see ``vif``, which raises the same."""
    if image.ndim != 2 or min(image.shape) < MIN_SIZE:
        raise GeometryMismatch(f"VIF needs an image of at least {MIN_SIZE} x {MIN_SIZE} pixels, not {image.shape}")
    if not scaled_to > 0:
        raise InvalidSetting(f"VIF scale {scaled_to}: needs a positive number")
    image, moments = image * (scaled_to / check_range(data_range)), []
    for level, size in enumerate(_WINDOWS):
        if level > 0:
            image = _local_mean(image, size)[::2, ::2]
        mean = _local_mean(image, size)
        moments.append(Moments(image, mean, np.maximum(_local_mean(image**2, size) - mean**2, 0.0)))
    return moments


def compare_moments(image: Sequence[Moments], reference: Sequence[Moments]) -> float:
    """Compute the VIF of an image with respect to its reference from the moments of both; see ``vif``."""
    found = [_information(*both) for both in zip(image, reference, _WINDOWS, strict=True)]
    received, available = (float(sum(values)) for values in zip(*found, strict=True))
    return (received + _EPS) / (available + _EPS)


def _information(image: Moments, reference: Moments, size: int) -> tuple[float, float]:
    """Compute the information about the reference in the image and in the reference itself, at one scale."""
    var_i, var_r = image.variance, reference.variance
    cov = _local_mean(image.image * reference.image, size) - image.mean * reference.mean

    # Model: image = gain * reference + distortion. A flat patch, or one of negative gain, carries no information.
    informative = (var_r >= _EPS) & (var_i >= _EPS) & (cov > 0)
    gain = np.where(informative, cov / (var_r + _EPS), 0.0)
    distortion = np.maximum(var_i - gain * cov, _EPS)
    var_r = np.where(var_r >= _EPS, var_r, 0.0)
    received = np.log1p(gain**2 * var_r / (distortion + NOISE_VARIANCE)).sum()
    return float(received), float(np.log1p(var_r / NOISE_VARIANCE).sum())


def vif(image: Image, reference: Image, *, data_range: float, scaled_to: float) -> float:
    """Compute the visual information fidelity (VIF) of an image with respect to its reference.

    Parameters
    ----------
    image, reference : ndarray of float, shape (y, x)
        Two images of the same shape and unit, at least 41 x 41. Exchanging them changes the result.
    data_range : float
        Data range L in the unit of the images.
    scaled_to : float
        Data range to which both images are scaled first, by the factor ``scaled_to / data_range``. It changes the
        result, because the noise variance of the eye is fixed at 2. 255 is the choice of the paper and of piq;
        ``scaled_to=data_range`` leaves the images as they are.

    Returns
    -------
    float
        VIF, without a unit: 1 for equal images, 0 if no information is left, above 1 for a sharpened image.

    Raises
    ------
    GeometryMismatch
        If the shapes differ or the images are not two-dimensional or smaller than 41 x 41.
    InvalidSetting
        If ``scaled_to`` is not positive or ``data_range`` is not finite and positive.

    References
    ----------
    .. [1] Sheikh & Bovik, "Image information and visual quality", IEEE TIP 2006, eq. 15 (variant VIFp).

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import vif
    >>> y, x = np.mgrid[:64, :64]
    >>> reference = 0.5 + 0.5 * np.sin(x / 5) * np.cos(y / 7)
    >>> image = reference + 0.05 * (-1.0) ** (x + y)
    >>> round(vif(image, reference, data_range=1.0, scaled_to=255.0), 3)
    0.472
    """
    x, y = (vif_moments(array, data_range, scaled_to) for array in as_pair(image, reference))
    return compare_moments(x, y)

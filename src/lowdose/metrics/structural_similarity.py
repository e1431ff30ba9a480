"""SSIM (Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004, eq. 13) in the flavours of the low-dose CT literature.

The same pair of images differs by up to .015 between them, so a flavour is always named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np
from scipy.ndimage import correlate1d
from skimage.metrics import structural_similarity

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.fidelity import Image, Image64, as_pair, check_range

SsimFlavour = Literal["gaussian_cropped", "gaussian_same", "clamped", "uniform7", "red_cnn"]

SSIM_FLAVOURS: Mapping[SsimFlavour, str] = MappingProxyType(
    {
        "gaussian_cropped": "Gaussian 11x11 sigma 1.5, biased, borders cropped",
        "gaussian_same": "Gaussian 11x11 sigma 1.5, biased, borders reflected",
        "clamped": "Gaussian 11x11 sigma 1.5, biased, borders reflected, map clamped to [0, 1]",
        "uniform7": "uniform 7x7, sample covariance, borders cropped",
        "red_cnn": "Gaussian 11x11 sigma 1.5, biased, borders padded with zeros",
    }
)

_SIZE, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03
_Border = Literal["mirror", "constant"]


def _gaussian_mean(image: Image64, border: _Border) -> Image64:
    """Gaussian-weighted local mean of the same size. scipy's 'mirror' is what torch calls 'reflect'."""
    offsets = np.arange(_SIZE) - _SIZE // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    rows: Image64 = correlate1d(image, weights, axis=0, mode=border)
    both: Image64 = correlate1d(rows, weights, axis=1, mode=border)
    return both


def ssim_map(image: Image, reference: Image, data_range: float, border: _Border = "mirror") -> Image64:
    """The SSIM index at each pixel (y, x), same size as the images."""
    x, y = as_pair(image, reference)
    mean = partial(_gaussian_mean, border=border)
    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure: Image64 = (2 * covariance + c2) / (variances + c2)
    return luminance * structure


_skimage: Callable[..., float] = structural_similarity  # scikit-image has no types


def _cropped(image: Image, reference: Image, data_range: float) -> float:
    gaussian = partial(_skimage, gaussian_weights=True, sigma=_SIGMA, use_sample_covariance=False)
    return float(gaussian(image, reference, data_range=data_range))


def _uniform7(image: Image, reference: Image, data_range: float) -> float:
    return float(_skimage(image, reference, data_range=data_range))


def _same(image: Image, reference: Image, data_range: float) -> float:
    return float(ssim_map(image, reference, data_range).mean())


def _clamped(image: Image, reference: Image, data_range: float) -> float:
    return float(ssim_map(image, reference, data_range).clip(0.0, 1.0).mean())


def _red_cnn(image: Image, reference: Image, data_range: float) -> float:
    return float(ssim_map(image, reference, data_range, border="constant").mean())


_COMPUTE: Mapping[SsimFlavour, Callable[[Image, Image, float], float]] = MappingProxyType(
    {
        "gaussian_cropped": _cropped,
        "gaussian_same": _same,
        "clamped": _clamped,
        "uniform7": _uniform7,
        "red_cnn": _red_cnn,
    }
)


def ssim(image: Image, reference: Image, data_range: float, flavour: SsimFlavour = "gaussian_cropped") -> float:
    """Mean SSIM of two images (y, x), at least 11 x 11. 1 for equal images; symmetric in its two images.

    The values matter, not only their differences: SSIM of signed HU is not SSIM of the same HU shifted to [0, L].
    """
    if flavour not in SSIM_FLAVOURS:
        raise InvalidSetting(f"SSIM flavour {flavour!r}: choose one of {', '.join(SSIM_FLAVOURS)}")
    if image.ndim != 2 or min(image.shape) < _SIZE:
        raise GeometryMismatch(f"SSIM needs an image of at least {_SIZE} x {_SIZE} pixels, not {image.shape}")
    x, y = as_pair(image, reference)
    return _COMPUTE[flavour](x, y, check_range(data_range))

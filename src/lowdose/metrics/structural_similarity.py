"""Structural similarity (SSIM) in the variants ("flavours") of the low-dose CT literature.

Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004, eq. 13. For one pair of images the variants differ by up to 0.015, so
that a reported value always needs the name of its variant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

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
"""Description of each variant: window, variance estimate and treatment of the image border."""

_SIZE, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03
_Border = Literal["mirror", "constant"]


def _gaussian_mean(image: Image64, border: _Border) -> Image64:
    """Compute the Gaussian-weighted local mean (y, x); SciPy's border mode 'mirror' is PyTorch's 'reflect'."""
    offsets = np.arange(_SIZE) - _SIZE // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    rows: Image64 = correlate1d(image, weights, axis=0, mode=border)
    both: Image64 = correlate1d(rows, weights, axis=1, mode=border)
    return both


def ssim_map(image: Image, reference: Image, data_range: float, border: _Border = "mirror") -> Image64:
    """Compute the SSIM index at each pixel of two images.

    The window is a Gaussian of 11 x 11 pixels and a standard deviation of 1.5 pixels, with biased variances.

    Parameters
    ----------
    image, reference : ndarray of float, shape (y, x)
        Two images of the same shape and unit. The result is the same when they are exchanged.
    data_range : float
        Data range L in the unit of the images.
    border : {"mirror", "constant"}, default "mirror"
        How the images continue beyond their border: reflected (flavour "gaussian_same" of ``ssim``) or with zeros
        (flavour "red_cnn").

    Returns
    -------
    ndarray of float64, shape (y, x)
        SSIM from -1 to 1, without a unit.

    Raises
    ------
    GeometryMismatch
        If the shapes differ.

    References
    ----------
    .. [1] Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004,
       eq. 13.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import ssim_map
    >>> reference = np.tile(np.linspace(0.0, 1.0, 32), (32, 1))
    >>> image = reference.copy()
    >>> image[:, 16:] = 0.5  # the right half has lost its structure
    >>> index = ssim_map(image, reference, data_range=1.0)
    >>> bool(index[:, :8].min() > index[:, 24:].max())
    True
    """
    x, y = as_pair(image, reference)
    return _map(_moments(x, border), _moments(y, border), data_range)


class SsimMoments(NamedTuple):
    """What SSIM needs of one image (y, x): the image, its local means and those of its squares, and the borders."""

    image: Image64
    mean: Image64
    mean_square: Image64
    border: _Border


def _moments(image: Image64, border: _Border) -> SsimMoments:
    return SsimMoments(image, _gaussian_mean(image, border), _gaussian_mean(image * image, border), border)


def _map(x: SsimMoments, y: SsimMoments, data_range: float) -> Image64:
    variances = x.mean_square - x.mean**2 + y.mean_square - y.mean**2
    covariance = _gaussian_mean(x.image * y.image, x.border) - x.mean * y.mean
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    luminance = (2 * x.mean * y.mean + c1) / (x.mean**2 + y.mean**2 + c1)
    structure: Image64 = (2 * covariance + c2) / (variances + c2)
    return luminance * structure


def ssim_moments(image: Image64, flavour: SsimFlavour) -> SsimMoments:
    """Compute what a flavour of SSIM needs of one image (y, x); see ``ssim``, which raises the same."""
    if flavour not in SSIM_FLAVOURS:
        raise InvalidSetting(f"SSIM flavour {flavour!r}: choose one of {', '.join(SSIM_FLAVOURS)}")
    if image.ndim != 2 or min(image.shape) < _SIZE:
        raise GeometryMismatch(f"SSIM needs an image of at least {_SIZE} x {_SIZE} pixels, not {image.shape}")
    if flavour == "uniform7":  # scikit-image computes its moments by itself
        return SsimMoments(image, image, image, "mirror")
    return _moments(image, "constant" if flavour == "red_cnn" else "mirror")


def compare_moments(x: SsimMoments, y: SsimMoments, data_range: float, flavour: SsimFlavour) -> float:
    """Compute the mean SSIM of two images from their moments; see ``ssim``."""
    if flavour == "uniform7":
        return float(_skimage(x.image, y.image, data_range=check_range(data_range)))
    index = _map(x, y, check_range(data_range))
    if flavour == "gaussian_cropped":  # what is left does not depend on the borders
        inside = slice(_SIZE // 2, -(_SIZE // 2))
        index = index[inside, inside]
    return float(index.clip(0.0, 1.0).mean() if flavour == "clamped" else index.mean())


_skimage: Callable[..., float] = structural_similarity  # scikit-image has no types


def ssim(image: Image, reference: Image, data_range: float, flavour: SsimFlavour = "gaussian_cropped") -> float:
    """Compute the mean structural similarity (SSIM) of two images.

    SSIM depends on the values themselves, not only on their differences: the SSIM of signed HU is not that of the same
    HU shifted to [0, data_range].

    Parameters
    ----------
    image, reference : ndarray of float, shape (y, x)
        Two images of the same shape and unit, at least 11 x 11. The result is the same when they are exchanged.
    data_range : float
        Data range L in the unit of the images, for example the width of the HU window.
    flavour : str, default "gaussian_cropped"
        Variant of SSIM. "gaussian_cropped", "gaussian_same", "clamped" and "red_cnn" have a Gaussian window of
        11 x 11 pixels, SD 1.5 pixels, with biased variances: border pixels left out, borders reflected, the same with
        the map clamped to [0, 1], borders padded with zeros. "uniform7" has a uniform 7 x 7 window with unbiased
        variances, border pixels left out.

    Returns
    -------
    float
        Mean SSIM from -1 to 1, without a unit; 1 for equal images.

    Raises
    ------
    GeometryMismatch
        If the shapes differ or the images are not two-dimensional or smaller than 11 x 11.
    InvalidSetting
        If ``flavour`` is unknown or ``data_range`` is not finite and positive.

    References
    ----------
    .. [1] Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004,
       eq. 13.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import ssim
    >>> y, x = np.mgrid[:64, :64]
    >>> reference = 0.5 + 0.5 * np.sin(x / 5) * np.cos(y / 7)
    >>> image = reference + 0.05 * (-1.0) ** (x + y)
    >>> round(ssim(image, reference, data_range=1.0), 3)
    0.837
    >>> round(ssim(image, reference, data_range=1.0, flavour="uniform7"), 3)
    0.895
    """
    x, y = (ssim_moments(array, flavour) for array in as_pair(image, reference))
    return compare_moments(x, y, data_range, flavour)

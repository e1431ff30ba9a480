"""Feature similarity (FSIM) of grey images: phase congruency and gradient magnitude.

Zhang, Zhang, Mou, Zhang, IEEE TIP 2011; phase congruency after Kovesi, Videre 1999, with log-Gabor filters and a noise
threshold from the median of the finest scale.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import correlate1d

from lowdose.errors import GeometryMismatch
from lowdose.metrics.fidelity import Image, Image64, as_pair, check_range

SCALES, ORIENTATIONS = 4, 4
MIN_WAVELENGTH, MULT, SIGMA_F = 6.0, 2.0, 0.55
SIGMA_THETA = np.pi / (1.2 * ORIENTATIONS)
NOISE_SDS = 2.0
T1, T2 = 0.85, 160.0
"""Stabilising constants of the similarity of phase congruency and of gradient magnitude (eqs. 4 and 5)."""

MIN_SIZE = 16
"""Smallest side of an image, in pixels."""

_EPS = float(np.finfo(np.float32).eps)


class FsimFeatures(NamedTuple):
    """Features of one image that FSIM compares, both (y, x) on the downsampled image.

    Attributes
    ----------
    congruency : ndarray of float64
        Phase congruency.
    gradient : ndarray of float64
        Gradient magnitude.
    """

    congruency: Image64
    gradient: Image64


class Bank(NamedTuple):
    """Log-Gabor filters and their response to white noise of unit power.

    Attributes
    ----------
    filters : ndarray of float64, shape (orientation, scale, y, x)
        Filters in the frequency order of ``fft2``.
    finest : ndarray of float64, shape (orientation,)
        Energy of the filter of the finest scale.
    summed : ndarray of float64, shape (orientation,)
        Energy of the sum over scales of the even parts of the filters.
    """

    filters: Image64
    finest: Image64
    summed: Image64


def _frequencies(n: int) -> Image64:
    """Return frequencies in cycles per pixel in ``fft`` order; as in Kovesi's grid, an odd n is divided by n - 1."""
    return fft.ifftshift((np.arange(n) - n // 2) / (n - n % 2))


@lru_cache(maxsize=2)
def filter_bank(shape: tuple[int, int]) -> Bank:
    """Build filters for images of ``shape`` (y, x) that are log-Gabor in radius and Gaussian in angle (Kovesi 1999)."""
    v, u = np.meshgrid(*map(_frequencies, shape), indexing="ij")
    radius = np.hypot(u, v)
    radius[0, 0] = 1.0
    angle = np.arctan2(-v, u)
    low_pass = 1.0 / (1.0 + (radius / 0.45) ** 30)  # Butterworth, to exclude the corners of the plane
    wavelengths = MIN_WAVELENGTH * MULT ** np.arange(SCALES)
    radial = np.exp(-(np.log(radius * wavelengths[:, None, None]) ** 2) / (2 * np.log(SIGMA_F) ** 2)) * low_pass
    radial[:, 0, 0] = 0.0
    orientations = np.arange(ORIENTATIONS)[:, None, None] * np.pi / ORIENTATIONS
    deviation = np.abs(np.angle(np.exp(1j * (angle - orientations))))
    angular = np.exp(-(deviation**2) / (2 * SIGMA_THETA**2))
    filters = angular[:, None] * radial[None]
    filters.setflags(write=False)  # shared by all callers of this cache
    # The inverse transform of the even part (F(k) + F(-k)) / 2 is the real part of the filter's impulse response.
    total = filters.sum(axis=1)
    even = (total + np.roll(total[:, ::-1, ::-1], 1, axis=(1, 2))) / 2
    return Bank(filters, (filters[:, 0] ** 2).sum(axis=(1, 2)), (even**2).sum(axis=(1, 2)))


def _noise_threshold(finest: NDArray[np.complex128], bank: Bank, orientation: int) -> float:
    """Estimate the energy that noise alone reaches in one orientation.

    It is the mean + 2 SD of a Rayleigh distribution (Kovesi 1999, section 4), divided by 1.7 as in FSIM. The squared
    amplitude of noise in the finest scale is distributed exponentially, so that its median gives its mean.
    """
    mean_energy = float(np.median(np.abs(finest) ** 2)) / np.log(2.0)
    power = mean_energy / bank.finest[orientation]
    tau = np.sqrt(power * bank.summed[orientation])
    return float(tau * (np.sqrt(np.pi / 2) + NOISE_SDS * np.sqrt(2 - np.pi / 2)) / 1.7)


def phase_congruency(image: Image) -> Image64:
    """Compute the phase congruency at each pixel (y, x), 0 to 1: how well the Fourier components agree in phase."""
    height, width = image.shape
    bank = filter_bank((height, width))
    spectrum = fft.fft2(np.asarray(image, dtype=np.float64))
    energy, amplitude = np.zeros(image.shape), np.full(image.shape, _EPS)
    for orientation in range(ORIENTATIONS):
        response = fft.ifft2(spectrum * bank.filters[orientation])
        total = response.sum(axis=0)
        direction = total / (np.abs(total) + _EPS)
        aligned = response * np.conj(direction)  # real part in phase with the mean, imaginary part in quadrature
        local = (aligned.real - np.abs(aligned.imag)).sum(axis=0)
        energy += np.maximum(local - _noise_threshold(response[0], bank, orientation), 0.0)
        amplitude += np.abs(response).sum(axis=0)
    congruency: Image64 = energy / amplitude
    return congruency


def gradient_magnitude(image: Image) -> Image64:
    """Compute the Scharr gradient magnitude at each pixel (y, x), with zeros beyond the border."""
    smooth, slope = np.array([3.0, 10.0, 3.0]) / 16.0, np.array([-1.0, 0.0, 1.0])
    derivatives = [
        correlate1d(correlate1d(image, smooth, axis=1 - axis, mode="constant"), slope, axis=axis, mode="constant")
        for axis in (0, 1)
    ]
    magnitude: Image64 = np.hypot(*derivatives)
    return magnitude


def similarity(a: Image64, b: Image64, constant: float) -> Image64:
    """Compute the similarity (2ab + T) / (a^2 + b^2 + T) of two features, eqs. 4 and 5 of the FSIM paper."""
    return (2 * a * b + constant) / (a**2 + b**2 + constant)


def _downsample(image: Image64) -> Image64:
    """Average over blocks so that the shorter side has about 256 pixels, for which FSIM's constants were tuned."""
    step = max(1, round(min(image.shape) / 256))
    rows, columns = image.shape[0] // step, image.shape[1] // step
    blocks = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    means: Image64 = blocks.mean(axis=(1, 3))
    return means


def fsim(image: Image, reference: Image, data_range: float) -> float:
    """Compute the feature similarity (FSIM) of two grey images.

    Parameters
    ----------
    image, reference : ndarray of float, shape (y, x)
        Two images of the same shape with values in [0, data_range], at least 16 x 16. The result is the same when they
        are exchanged.
    data_range : float
        Data range L in the unit of the images; they are scaled to [0, 255], for which the constants of the paper hold.

    Returns
    -------
    float
        FSIM from 0 to 1, without a unit; 1 for equal images.

    Raises
    ------
    GeometryMismatch
        If the shapes differ or the images are not two-dimensional or smaller than 16 x 16.
    InvalidSetting
        If ``data_range`` is not finite and positive.

    References
    ----------
    .. [1] Zhang et al., "FSIM: a feature similarity index for image quality assessment", IEEE TIP 2011, eq. 7.
    .. [2] Kovesi, "Image features from phase congruency", Videre 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import fsim
    >>> reference = np.tile(np.arange(64) // 8 % 2, (64, 1)).astype(float)  # stripes with sharp edges
    >>> blurred = (np.roll(reference, 1, axis=1) + reference + np.roll(reference, -1, axis=1)) / 3
    >>> fsim(reference, reference, data_range=1.0)
    1.0
    >>> round(fsim(blurred, reference, data_range=1.0), 2)
    0.74
    """
    x, y = as_pair(image, reference)
    return compare_features(fsim_features(x, data_range), fsim_features(y, data_range))


def fsim_features(image: Image64, data_range: float) -> FsimFeatures:
    """Compute the features of one image (y, x) with values in [0, data_range]; see ``fsim``, which raises the same."""
    if image.ndim != 2 or min(image.shape) < MIN_SIZE:
        raise GeometryMismatch(f"FSIM needs an image of at least {MIN_SIZE} x {MIN_SIZE} pixels, not {image.shape}")
    small = _downsample(image * (255.0 / check_range(data_range)))
    return FsimFeatures(phase_congruency(small), gradient_magnitude(small))


def compare_features(one: FsimFeatures, other: FsimFeatures) -> float:
    """Compute the FSIM of two images from their features; see ``fsim``."""
    weight = np.maximum(one.congruency, other.congruency)
    local = similarity(one.congruency, other.congruency, T1) * similarity(one.gradient, other.gradient, T2)
    total = float(weight.sum())
    # Images without structure (flat, or noise below its own threshold) have no phase congruency to use as weight.
    return float((local * weight).sum()) / total if total > 0.0 else float(local.mean())

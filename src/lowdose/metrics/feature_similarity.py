"""FSIM of grey images (Zhang, Zhang, Mou, Zhang, IEEE TIP 2011): phase congruency and gradient magnitude.

Phase congruency after Kovesi (Videre 1999): log-Gabor filters, noise threshold from the median of the finest scale.
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
SMALLEST = 16
_EPS = float(np.finfo(np.float32).eps)


class Bank(NamedTuple):
    """Log-Gabor filters in the frequency plane of ``fft2`` and what noise of unit power does in them.

    filters: (orientation, scale, y, x). finest: (orientation,), energy of the finest filter.
    summed: (orientation,), energy of the sum over scales of the filters' even parts.
    """

    filters: Image64
    finest: Image64
    summed: Image64


def _frequencies(n: int) -> Image64:
    """Cycles per pixel in ``fft`` order; Kovesi's grid divides an odd size by n - 1."""
    return fft.ifftshift((np.arange(n) - n // 2) / (n - n % 2))


@lru_cache(maxsize=2)
def filter_bank(shape: tuple[int, int]) -> Bank:
    """The filters for images of ``shape`` (y, x): log-Gabor in radius, Gaussian in angle (Kovesi 1999)."""
    v, u = np.meshgrid(*map(_frequencies, shape), indexing="ij")
    radius = np.hypot(u, v)
    radius[0, 0] = 1.0
    angle = np.arctan2(-v, u)
    low_pass = 1.0 / (1.0 + (radius / 0.45) ** 30)  # Butterworth, so that the corners of the plane stay out
    wavelengths = MIN_WAVELENGTH * MULT ** np.arange(SCALES)
    radial = np.exp(-(np.log(radius * wavelengths[:, None, None]) ** 2) / (2 * np.log(SIGMA_F) ** 2)) * low_pass
    radial[:, 0, 0] = 0.0
    centres = np.arange(ORIENTATIONS)[:, None, None] * np.pi / ORIENTATIONS
    away = np.abs(np.angle(np.exp(1j * (angle - centres))))
    spread = np.exp(-(away**2) / (2 * SIGMA_THETA**2))
    filters = spread[:, None] * radial[None]
    filters.setflags(write=False)  # shared by all callers of this cache
    # Even part F(k) + F(-k) over 2: its inverse transform is the real part of the filter's impulse response.
    total = filters.sum(axis=1)
    even = (total + np.roll(total[:, ::-1, ::-1], 1, axis=(1, 2))) / 2
    return Bank(filters, (filters[:, 0] ** 2).sum(axis=(1, 2)), (even**2).sum(axis=(1, 2)))


def _threshold(finest: NDArray[np.complex128], bank: Bank, orientation: int) -> float:
    """Energy that noise alone reaches: mean + 2 SD of a Rayleigh law (Kovesi 1999, section 4), over 1.7 as in FSIM.

    The squared amplitude of noise in the finest scale is exponential, hence its mean from its median.
    """
    mean_energy = float(np.median(np.abs(finest) ** 2)) / np.log(2.0)
    power = mean_energy / bank.finest[orientation]
    tau = np.sqrt(power * bank.summed[orientation])
    return float(tau * (np.sqrt(np.pi / 2) + NOISE_SDS * np.sqrt(2 - np.pi / 2)) / 1.7)


def phase_congruency(image: Image) -> Image64:
    """Phase congruency at each pixel (y, x), 0 to 1: how far the Fourier components agree in phase there."""
    height, width = image.shape
    bank = filter_bank((height, width))
    spectrum = fft.fft2(np.asarray(image, dtype=np.float64))
    energy, amplitude = np.zeros(image.shape), np.full(image.shape, _EPS)
    for orientation in range(ORIENTATIONS):
        response = fft.ifft2(spectrum * bank.filters[orientation])
        total = response.sum(axis=0)
        direction = total / (np.abs(total) + _EPS)
        aligned = response * np.conj(direction)  # real part: along the mean phase; imaginary part: off it
        local = (aligned.real - np.abs(aligned.imag)).sum(axis=0)
        energy += np.maximum(local - _threshold(response[0], bank, orientation), 0.0)
        amplitude += np.abs(response).sum(axis=0)
    congruency: Image64 = energy / amplitude
    return congruency


def gradient_magnitude(image: Image) -> Image64:
    """Scharr gradient magnitude per pixel (y, x), zeros beyond the border."""
    smooth, slope = np.array([3.0, 10.0, 3.0]) / 16.0, np.array([-1.0, 0.0, 1.0])
    along = [
        correlate1d(correlate1d(image, smooth, axis=1 - axis, mode="constant"), slope, axis=axis, mode="constant")
        for axis in (0, 1)
    ]
    magnitude: Image64 = np.hypot(*along)
    return magnitude


def similarity(a: Image64, b: Image64, constant: float) -> Image64:
    """(2ab + T) / (a^2 + b^2 + T), eqs. 4 and 5 of the paper."""
    return (2 * a * b + constant) / (a**2 + b**2 + constant)


def _downsample(image: Image64) -> Image64:
    """Means over blocks that leave about 256 pixels on the shorter side, where FSIM's constants were tuned."""
    step = max(1, round(min(image.shape) / 256))
    rows, columns = image.shape[0] // step, image.shape[1] // step
    blocks = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    means: Image64 = blocks.mean(axis=(1, 3))
    return means


def fsim(image: Image, reference: Image, data_range: float) -> float:
    """FSIM of two images (y, x) with values in [0, data_range] (eq. 7); scaled to [0, 255] for T1 and T2. Symmetric."""
    if image.ndim != 2 or min(image.shape) < SMALLEST:
        raise GeometryMismatch(f"FSIM needs an image of at least {SMALLEST} x {SMALLEST} pixels, not {image.shape}")
    scale = 255.0 / check_range(data_range)
    x, y = (_downsample(array * scale) for array in as_pair(image, reference))
    pc_x, pc_y = phase_congruency(x), phase_congruency(y)
    weight = np.maximum(pc_x, pc_y)
    local = similarity(pc_x, pc_y, T1) * similarity(gradient_magnitude(x), gradient_magnitude(y), T2)
    total = float(weight.sum())
    # Images without any structure (flat, or noise below its own threshold) have no phase congruency to weigh by.
    return float((local * weight).sum()) / total if total > 0.0 else float(local.mean())

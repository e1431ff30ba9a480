"""Noise level and noise texture of a single CT image without a reference, measured in soft tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import correlate1d, gaussian_filter, gaussian_filter1d, minimum_filter, uniform_filter

from lowdose.image import HU, Mask
from lowdose.metrics.checks import check_slice
from lowdose.metrics.fidelity import Image64
from lowdose.metrics.noise_frequency import f_av, f_av_2d, radial_average
from lowdose.metrics.noise_power import MIN_ROI, detrend, nps
from lowdose.metrics.rois import corners_within, cut_squares

SOFT_TISSUE_HU = (-150.0, 250.0)
WINDOW_MM = 6.5
"""Side of the window in which the local SD is measured."""

ROI_MM = 18.0
"""Side of the squares in which the noise power spectrum is measured."""

ROI_COUNT = 12
Real = TypeVar("Real", np.float32, np.float64)
_SMOOTH_MM = 1.5
_TREND_ORDER = 2
_LOG_STEP = 0.01
"""Bin width of the histogram of log(SD)."""

_BANDWIDTH_BINS = 6.0
"""SD of the Gaussian that smooths this histogram."""

_ANATOMY_RATIO = 1.25
"""Ratio of the mode of all windows to that of the flattest half above which the former is one of anatomy.

It is 1.02 to 1.16 on pairs of doses, whose noise is known, and 1.06 in the median of 103 normal-dose series."""
_FLATNESS_PX = 9
"""Side of the window over which the gradient is averaged."""

_NOISELESS_SD = 1e-3
"""Local SD in HU up to which tissue counts as free of noise."""


@dataclass(frozen=True)
class NoiseLevel:
    """Noise level and texture of one image.

    Attributes
    ----------
    sd : HU
        Global noise level, a standard deviation.
    f_av : 1/mm
        Mean frequency of the noise power spectrum, weighted over the radial profile as by ``lowdose.metrics.f_av``.
    f_av_2d : 1/mm
        The same, weighted over the plane as by ``lowdose.metrics.f_av_2d``. It depends less on low frequencies, where a
        single image does not tell noise from anatomy.

    Examples
    --------
    >>> from lowdose.metrics import NoiseLevel
    >>> NoiseLevel(sd=12.5, f_av=0.31, f_av_2d=0.36)
    NoiseLevel(sd=12.5, f_av=0.31, f_av_2d=0.36)
    """

    sd: float
    f_av: float
    f_av_2d: float


def noise_level(hu: HU, valid: Mask, pixel_mm: float) -> NoiseLevel | None:
    """Estimate the noise level and the mean noise frequency of one slice without a reference.

    The level is the mode of the local SD in soft tissue [1]_, in windows of 6.5 mm from which a fitted second-order
    surface is subtracted. The fit also removes part of the noise; this is corrected for with the noise power spectrum
    (NPS) of the up to 12 most uniform 18 mm squares. Where the mode is far above that of the flattest half of the
    windows, it is one of anatomy, as in slices of mostly lung, and that of the flattest half counts.

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
    NoiseLevel or None
        ``sd`` in HU, ``f_av`` and ``f_av_2d`` in 1/mm; None if there is no valid 18 mm square of soft tissue. ``sd`` is
        0 if at least half of the soft tissue is constant, as in a synthetic image without noise.

    Raises
    ------
    GeometryMismatch
        If ``hu`` is not two-dimensional or ``valid`` has another shape.
    InvalidSetting
        If ``pixel_mm`` is not positive.

    References
    ----------
    .. [1] Christianson et al., "Automated technique to measure noise in clinical CT examinations", AJR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import noise_level
    >>> hu = np.random.default_rng(0).normal(40, 20, (128, 128)).astype(np.float32)
    >>> level = noise_level(hu, np.ones(hu.shape, bool), pixel_mm=0.7)
    >>> round(level.sd), round(level.f_av, 1)
    (20, 0.4)
    """
    check_slice(hu, valid, pixel_mm, "noise")
    image = np.where(valid, hu, np.float32(-1000.0)).astype(np.float64)
    smooth, soft = soft_tissue(image, pixel_mm)
    soft &= valid
    rois = flat_rois(image, smooth, soft, pixel_mm)
    if rois is None:
        return None
    power = nps(rois, pixel_mm)
    polynomials = _local_polynomials(pixel_mm)
    box = _box_around(soft)
    sds, inside = _local_sds(image[box], soft[box], polynomials)
    level = _level(sds, inside, smooth[box]) / np.sqrt(surviving_share(power, polynomials, _TREND_ORDER))
    return NoiseLevel(level, f_av(radial_average(power, pixel_mm)), f_av_2d(power, pixel_mm))


def soft_tissue(image: NDArray[Real], pixel_mm: float) -> tuple[NDArray[Real], Mask]:
    """Smooth an image (y, x) in HU with a Gaussian of 1.5 mm SD and find its soft tissue, -150 to 250 HU.

    Returns the smoothed image and the mask, both (y, x).
    """
    smooth: NDArray[Real] = gaussian_filter(image, _SMOOTH_MM / pixel_mm)
    return smooth, (smooth > SOFT_TISSUE_HU[0]) & (smooth < SOFT_TISSUE_HU[1])


def flat_rois(image: Image64, smooth: Image64, soft: Mask, pixel_mm: float) -> Image64 | None:
    """Cut out the up to 12 soft-tissue squares of 18 mm with the least structure in the smoothed image.

    Returns squares (n, y, x) of ``image``, shifted against each other by at least half of their side, or None if no
    square fits into ``soft``.
    """
    size = max(MIN_ROI, 2 * round(ROI_MM / pixel_mm / 2))
    step = size // 3
    corners = corners_within(soft, size, step)
    if len(corners) == 0:
        return None
    texture = detrend(cut_squares(smooth, corners, size)).std(axis=(1, 2))
    chosen: list[NDArray[np.intp]] = []
    for corner in corners[np.argsort(texture, kind="stable")]:
        if all(np.abs(corner - other).max() >= size // 2 for other in chosen):
            chosen.append(corner)
        if len(chosen) == ROI_COUNT:
            break
    return cut_squares(image, np.array(chosen), size)


def window_side(pixel_mm: float) -> int:
    """Return the side in pixels, an odd number, of the window in which local noise is measured."""
    return max(5, 2 * round((WINDOW_MM / pixel_mm - 1) / 2) + 1)


def _box_around(soft: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that hold all soft tissue, and a margin as wide as the window of the gradient.

    All windows that count lie in soft tissue, and half of most slices is air.
    """
    spans = []
    for axis in (0, 1):
        (found,) = np.nonzero(soft.any(axis=1 - axis))
        spans.append(slice(max(0, int(found[0]) - _FLATNESS_PX), int(found[-1]) + 1 + _FLATNESS_PX))
    return spans[0], spans[1]


def _local_polynomials(pixel_mm: float) -> Image64:
    """Return orthonormal polynomials (degree, k) on the k pixels, k odd, of a side of the local window."""
    side = window_side(pixel_mm)
    powers = np.vander(np.linspace(-1.0, 1.0, side), _TREND_ORDER + 1, increasing=True)
    polynomials: Image64 = np.linalg.qr(powers)[0].T
    return polynomials


def _level(sds: Image64, inside: Mask, smooth: Image64) -> float:
    """Return the mode of the local SDs (y, x) of windows ``inside`` soft tissue, or of their flattest half.

    smooth: the smoothed image (y, x), whose gradient tells how flat a window is.
    """
    everywhere = mode(sds[inside])
    slope = uniform_filter(np.hypot(*np.gradient(smooth)), _FLATNESS_PX)[inside]
    flattest = mode(sds[inside][slope <= np.median(slope)])
    return flattest if 0 < _ANATOMY_RATIO * flattest < everywhere else everywhere


def _local_sds(image: Image64, soft: Mask, polynomials: Image64) -> tuple[Image64, Mask]:
    """Compute the SD (y, x) about the fitted surface in windows; also return which lie completely in soft tissue."""
    degrees, side = polynomials.shape
    ones = np.ones(side)
    residual = correlate1d(correlate1d(image**2, ones, axis=0), ones, axis=1)
    for i in range(degrees):
        rows = correlate1d(image, polynomials[i], axis=0)
        for j in range(degrees - i):
            residual -= correlate1d(rows, polynomials[j], axis=1) ** 2
    inside = minimum_filter(soft.astype(np.uint8), size=side, mode="constant").astype(np.bool_)
    sds: Image64 = np.sqrt(np.maximum(residual, 0.0)) / side
    return sds, inside


def surviving_share(power: Image64, polynomials: Image64, order: int) -> float:
    """Compute the fraction of the noise variance that is left after a polynomial fit in a square window.

    ``power`` (y, x) is the 2-D NPS of the noise. ``polynomials`` (degree, k) are orthonormal on the k pixels of a side
    of the window; products of total degree <= ``order`` are fitted. The coarser the noise texture, the more of the
    noise the fit removes, so that images from soft kernels need the larger correction.
    """
    degrees, side = polynomials.shape
    phase = np.exp(2j * np.pi * np.outer(fft.fftfreq(len(power)), np.arange(side)))
    response = np.abs(polynomials @ phase.T) ** 2  # (degree, frequency)
    removed = np.zeros_like(power)
    for i in range(degrees):
        for j in range(degrees):
            if i + j <= order:
                removed += np.outer(response[i], response[j])
    total = float(power.sum())
    return 1.0 - float((power * removed).sum()) / (side**2 * total) if total > 0.0 else 1.0


def mode(values: Image64) -> float:
    """Find the most frequent of positive values, from a histogram of their logarithms smoothed by a 6 % kernel."""
    positive = values[values > _NOISELESS_SD]
    if 2 * positive.size <= values.size:
        return 0.0  # most of the tissue is constant: an image without noise
    logs = np.log(positive)
    bins = np.round((logs - logs.min()) / _LOG_STEP).astype(np.intp)
    margin = int(4 * _BANDWIDTH_BINS)
    density = gaussian_filter1d(np.pad(np.bincount(bins).astype(np.float64), margin), _BANDWIDTH_BINS)
    return float(np.exp(logs.min() + (int(np.argmax(density)) - margin) * _LOG_STEP))

"""The noise of one CT image without a reference: its level and its texture, from soft tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import correlate1d, gaussian_filter, gaussian_filter1d, minimum_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import HU, Mask
from lowdose.metrics.fidelity import Image64
from lowdose.metrics.noise_power import MIN_ROI, detrend, f_av, nps, radial_average
from lowdose.metrics.rois import corners_within, cut_squares

SOFT_TISSUE_HU = (-150.0, 250.0)
KERNEL_MM = 6.5
ROI_MM = 18.0
ROI_COUNT = 12
_SMOOTH_MM = 1.5
Real = TypeVar("Real", np.float32, np.float64)
_TREND_ORDER = 2
_LOG_STEP, _BANDWIDTH = 0.01, 6.0
_QUIET = 1e-3


@dataclass(frozen=True)
class NoiseLevel:
    """sd: global noise level in HU. f_av: mean frequency of the NPS in 1/mm, 1-D radial weighting."""

    sd: float
    f_av: float


def noise_level(hu: HU, valid: Mask, pixel_mm: float) -> NoiseLevel | None:
    """Noise of one slice (y, x) in HU; None if no 18 mm square of soft tissue is valid.

    sd is the mode of the local SD in soft tissue (Christianson et al., AJR 2015): windows of 6.5 mm, each less its
    fitted 2nd-order surface. What that fit takes of the noise itself is given back, by the NPS of the flattest ROIs.
    """
    if hu.ndim != 2 or hu.shape != valid.shape:
        raise GeometryMismatch(f"noise needs a slice and its mask, not {hu.shape} and {valid.shape}")
    if not pixel_mm > 0:
        raise InvalidSetting(f"pixel size {pixel_mm} mm: needs a positive number")
    image = np.where(valid, hu, np.float32(-1000.0)).astype(np.float64)
    smooth, soft = soft_tissue(image, pixel_mm)
    soft &= valid
    rois = flat_rois(image, smooth, soft, pixel_mm)
    if rois is None:
        return None
    power = nps(rois, pixel_mm)
    polynomials = _local_polynomials(pixel_mm)
    sds = _local_sds(image, soft, polynomials) / np.sqrt(surviving_share(power, polynomials, _TREND_ORDER))
    return NoiseLevel(mode(sds), f_av(radial_average(power, pixel_mm)))


def soft_tissue(image: NDArray[Real], pixel_mm: float) -> tuple[NDArray[Real], Mask]:
    """(the image smoothed by 1.5 mm, where that is soft tissue), both (y, x)."""
    smooth: NDArray[Real] = gaussian_filter(image, _SMOOTH_MM / pixel_mm)
    return smooth, (smooth > SOFT_TISSUE_HU[0]) & (smooth < SOFT_TISSUE_HU[1])


def flat_rois(image: Image64, smooth: Image64, soft: Mask, pixel_mm: float) -> Image64 | None:
    """The up to 12 squares (n, y, x) of 18 mm in soft tissue with the least structure in ``smooth``; None if none."""
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


def _local_polynomials(pixel_mm: float) -> Image64:
    """Orthonormal polynomials (degree, k) on a side of the local window, k odd."""
    side = max(5, 2 * round((KERNEL_MM / pixel_mm - 1) / 2) + 1)
    powers = np.vander(np.linspace(-1.0, 1.0, side), _TREND_ORDER + 1, increasing=True)
    polynomials: Image64 = np.linalg.qr(powers)[0].T
    return polynomials


def _local_sds(image: Image64, soft: Mask, polynomials: Image64) -> Image64:
    """SD about the fitted surface of all windows that lie wholly in soft tissue: (n,)."""
    degrees, side = polynomials.shape
    ones = np.ones(side)
    residual = correlate1d(correlate1d(image**2, ones, axis=0), ones, axis=1)
    for i in range(degrees):
        rows = correlate1d(image, polynomials[i], axis=0)
        for j in range(degrees - i):
            residual -= correlate1d(rows, polynomials[j], axis=1) ** 2
    whole = minimum_filter(soft.astype(np.uint8), size=side, mode="constant").astype(np.bool_)
    sds: Image64 = np.sqrt(np.maximum(residual[whole], 0.0)) / side
    return sds


def surviving_share(power: Image64, polynomials: Image64, order: int) -> float:
    """Share of the variance of noise with this 2-D NPS that a local polynomial fit leaves in a square window.

    ``polynomials`` (degree, k) are orthonormal on the k pixels of a side; products of total degree <= order are fitted.
    A fit takes the more of the noise the coarser its texture is, so soft kernels need the larger correction.
    """
    degrees, side = polynomials.shape
    phase = np.exp(2j * np.pi * np.outer(fft.fftfreq(len(power)), np.arange(side)))
    response = np.abs(polynomials @ phase.T) ** 2  # (degree, frequency)
    taken = np.zeros_like(power)
    for i in range(degrees):
        for j in range(degrees):
            if i + j <= order:
                taken += np.outer(response[i], response[j])
    total = float(power.sum())
    return 1.0 - float((power * taken).sum()) / (side**2 * total) if total > 0.0 else 1.0


def mode(values: Image64) -> float:
    """The most frequent of positive values, from a smoothed histogram of their logarithms (6 % kernel)."""
    positive = values[values > _QUIET]
    if 2 * positive.size <= values.size:
        return 0.0  # most of the tissue is constant: an image without noise
    logs = np.log(positive)
    bins = np.round((logs - logs.min()) / _LOG_STEP).astype(np.intp)
    margin = int(4 * _BANDWIDTH)
    density = gaussian_filter1d(np.pad(np.bincount(bins).astype(np.float64), margin), _BANDWIDTH)
    return float(np.exp(logs.min() + (int(np.argmax(density)) - margin) * _LOG_STEP))

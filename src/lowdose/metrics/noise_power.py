"""Noise power spectrum of flat regions: how strong the noise is at each spatial frequency (its texture).

AAPM TG-233 / Samei et al., Med Phys 2019: NPS = mean |DFT(ROI - trend)|^2 dx dy / (Nx Ny), in HU^2 mm^2.
The trend is a fitted surface, or the mean of repeated scans where there are some (non-linear denoisers need them).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import Mask
from lowdose.metrics.fidelity import Image, Image64
from lowdose.metrics.rois import corners_within, cut_squares

MIN_ROI = 8
_PEAK_SHARE = 0.7


class Spectrum(NamedTuple):
    """A radially averaged NPS. frequency: (k,) 1/mm, from 1 / (N dx) to Nyquist. power: (k,) HU^2 mm^2."""

    frequency: Image64
    power: Image64


@lru_cache(maxsize=8)
def _quadratic_basis(size: int) -> Image64:
    """Orthonormal basis of 2nd-order surfaces on a square of ``size`` pixels: (size * size, 6)."""
    u, v = np.meshgrid(*2 * [np.linspace(-1.0, 1.0, size)])
    surfaces = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=-1)
    basis: Image64 = np.linalg.qr(surfaces.reshape(size * size, 6))[0]
    return basis


def detrend(rois: Image) -> Image64:
    """Square ROIs (n, y, x) less the 2nd-order surface fitted to each."""
    if rois.ndim != 3 or rois.shape[1] != rois.shape[2] or rois.shape[1] < MIN_ROI or len(rois) == 0:
        raise GeometryMismatch(f"ROIs of shape {rois.shape}: need (n, size, size) with size >= {MIN_ROI}")
    flat = np.asarray(rois, dtype=np.float64).reshape(len(rois), -1)
    basis = _quadratic_basis(rois.shape[1])
    return (flat - (flat @ basis) @ basis.T).reshape(rois.shape)


def detrended_sds(rois: Image) -> Image64:
    """SD (n,) of square ROIs (n, y, x) about the 2nd-order surface fitted to each, whose 6 parameters are counted."""
    residual = detrend(rois)
    degrees = residual[0].size - _quadratic_basis(rois.shape[1]).shape[1]
    sds: Image64 = np.sqrt((residual**2).sum(axis=(1, 2)) / degrees)
    return sds


def nps(rois: Image, pixel_mm: float) -> Image64:
    """Two-dimensional NPS (y, x) in ``fft2`` order, HU^2 mm^2; its sum times df^2 is the variance of the ROIs.

    What the surface took of the noise, at the lowest frequencies, is given back, so that white noise stays flat.
    """
    return _periodogram(detrend(rois), pixel_mm) / _surface_share(rois.shape[1])


def ensemble_nps(realisations: Image, pixel_mm: float) -> Image64:
    """Two-dimensional NPS (y, x) in ``fft2`` order, HU^2 mm^2, of one square ROI scanned n times: (n, y, x).

    The mean of the realisations is subtracted, and the n / (n - 1) it takes of the noise given back. What is the same
    in all scans, anatomy or a denoiser's bias, is thus no noise, and the power at DC is kept. Raises GeometryMismatch
    for less than two realisations, InvalidSetting for a pixel size or values that are no numbers.
    """
    rois = np.asarray(realisations, dtype=np.float64)
    if rois.ndim != 3 or rois.shape[1] != rois.shape[2] or rois.shape[1] < MIN_ROI or len(rois) < 2:
        raise GeometryMismatch(
            f"realisations of shape {rois.shape}: need (n, size, size) with n >= 2 scans and size >= {MIN_ROI}; "
            "from a single scan use nps"
        )
    return _periodogram(rois - rois.mean(axis=0), pixel_mm) * (len(rois) / (len(rois) - 1))


def difference_nps(difference: Image, region: Mask, pixel_mm: float, size: int = 64, share: float = 0.95) -> Image64:
    """Two-dimensional NPS of a difference of images (y, x), such as inserted noise, over squares of the region.

    Squares of ``size`` pixels overlap by three quarters and lie in the region by ``share`` of their area or more.
    Raises GeometryMismatch when none fits.
    """
    if difference.shape != region.shape:
        raise GeometryMismatch(f"a region of {region.shape} does not fit a difference of {difference.shape}")
    corners = corners_within(region, size, max(1, size // 4), share)
    if len(corners) == 0:
        raise GeometryMismatch(
            f"no square of {size} px lies in the region ({np.count_nonzero(region)} px) by {share:.0%} of its area: "
            "take a smaller size or share"
        )
    return nps(cut_squares(difference, corners, size), pixel_mm)


def _periodogram(residual: Image64, pixel_mm: float) -> Image64:
    """mean |DFT|^2 dx dy / (Nx Ny) of residuals (n, y, x), or InvalidSetting."""
    if not (math.isfinite(pixel_mm) and pixel_mm > 0):
        raise InvalidSetting(f"pixel size {pixel_mm} mm: needs a positive number")
    if not np.isfinite(residual).all():
        raise InvalidSetting("ROIs with values that are not finite have no noise power spectrum: place them elsewhere")
    power: Image64 = np.mean(np.abs(fft.fft2(residual)) ** 2, axis=0) * pixel_mm**2 / residual[0].size
    return power


@lru_cache(maxsize=8)
def _surface_share(size: int) -> Image64:
    """Share of the power of white noise that the fitted surface leaves at each frequency (y, x) of ``fft2``.

    Only the lowest frequencies lose any; at DC nothing is left, and nothing can be given back.
    """
    surfaces = _quadratic_basis(size).T.reshape(-1, size, size)
    share: Image64 = 1.0 - (np.abs(fft.fft2(surfaces)) ** 2).sum(axis=0) / size**2
    share[0, 0] = 1.0
    return share


def radial_average(power: Image64, pixel_mm: float) -> Spectrum:
    """Mean of a square 2-D NPS over rings one DFT bin wide, up to Nyquist, without DC, which went with the surface."""
    size = len(power)
    frequency = fft.fftfreq(size)
    ring = np.rint(size * np.hypot(frequency[:, None], frequency[None, :])).astype(np.intp).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    rings = np.arange(1, size // 2 + 1)
    return Spectrum(rings / (size * pixel_mm), mean[rings])


def nps_radial(rois: Image, pixel_mm: float) -> Spectrum:
    """Radially averaged NPS of square ROIs (n, y, x) in HU."""
    return radial_average(nps(rois, pixel_mm), pixel_mm)


def f_av(spectrum: Spectrum) -> float:
    """Mean frequency in 1/mm, sum(f NPS) / sum(NPS) over the radial profile: the 1-D weighting of imQuest.

    ``f_av_2d`` gives values 15-30 % higher: say which one a number is. 0 for an empty spectrum. For ROIs of an even
    side; with an odd one a spectrum that reaches Nyquist reads 1-2 % low.
    """
    weight = spectrum.power.copy()
    weight[-1] /= 2  # half of the ring at Nyquist lies beyond it
    total = float(weight.sum())
    return float(np.dot(spectrum.frequency, weight)) / total if total > 0.0 else 0.0


def f_av_2d(power: Image64, pixel_mm: float) -> float:
    """Mean frequency in 1/mm of a square 2-D NPS (y, x), sum(f NPS) / sum(NPS) over the plane up to Nyquist.

    The corners beyond Nyquist are left out, as in the radial profile: they exist along the diagonals alone. So is DC.
    0 for an empty spectrum.
    """
    frequency = fft.fftfreq(len(power), pixel_mm)
    f = np.hypot(frequency[:, None], frequency[None, :])
    weight = np.where((f > 0.0) & (f * pixel_mm < 0.5 + 1e-9), power, 0.0)
    total = float(weight.sum())
    return float((f * weight).sum()) / total if total > 0.0 else 0.0


def f_peak(spectrum: Spectrum) -> float:
    """Frequency in 1/mm where the radial profile is highest: the top of a parabola fitted around its maximum.

    CT's spectra are broad, and the highest of many noisy values is anywhere on the top; so the parabola goes through
    the range where the smoothed profile stays above 70 % of its maximum (2 % too high at most for a ramp under a Hann
    window). A line has no such range, and its peak at its highest value. 0 for an empty spectrum.
    """
    frequency, power = spectrum
    smooth = gaussian_filter1d(power, len(power) / 16, mode="nearest")
    top = int(np.argmax(smooth))
    if not smooth[top] > 0.0:
        return 0.0
    low = np.flatnonzero(smooth < _PEAK_SHARE * smooth[top])
    first = int(low[low < top].max(initial=-1)) + 1
    last = int(low[low > top].min(initial=len(power)))
    if last - first < 4:
        return float(frequency[np.argmax(power)])
    parabola = np.polynomial.Polynomial.fit(frequency[first:last], power[first:last], 2)
    fine = np.linspace(frequency[first], frequency[last - 1], 1000)
    return float(fine[np.argmax(parabola(fine))])

"""Noise power spectrum of flat regions: how strong the noise is at each spatial frequency (its texture).

AAPM TG-233 / Samei et al., Med Phys 2019: NPS = mean |DFT(ROI - trend)|^2 dx dy / (Nx Ny), in HU^2 mm^2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.fidelity import Image, Image64

MIN_ROI = 8


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


def nps(rois: Image, pixel_mm: float) -> Image64:
    """Two-dimensional NPS (y, x) in ``fft2`` order, HU^2 mm^2; its sum times df^2 is the variance of the ROIs.

    What the surface took of the noise, at the lowest frequencies, is given back, so that white noise stays flat.
    """
    if not pixel_mm > 0:
        raise InvalidSetting(f"pixel size {pixel_mm} mm: needs a positive number")
    residual = detrend(rois)
    power: Image64 = np.mean(np.abs(fft.fft2(residual)) ** 2, axis=0) * pixel_mm**2 / residual[0].size
    return power / _surface_share(rois.shape[1])


@lru_cache(maxsize=8)
def _surface_share(size: int) -> Image64:
    """Share of the power of white noise that the fitted surface leaves at each frequency (y, x) of ``fft2``.

    Only the lowest frequencies lose any; at DC nothing is left, and nothing can be given back.
    """
    surfaces = _quadratic_basis(size).T.reshape(-1, size, size)
    share: Image64 = 1.0 - (np.abs(fft.fft2(surfaces)) ** 2).sum(axis=0) / size**2
    share[0, 0] = 1.0
    return share


def radial(power: Image64, pixel_mm: float) -> Spectrum:
    """Mean of a square 2-D NPS over rings one DFT bin wide, up to Nyquist, without DC, which went with the surface."""
    size = len(power)
    frequency = fft.fftfreq(size)
    ring = np.rint(size * np.hypot(frequency[:, None], frequency[None, :])).astype(np.intp).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    rings = np.arange(1, size // 2 + 1)
    return Spectrum(rings / (size * pixel_mm), mean[rings])


def nps_radial(rois: Image, pixel_mm: float) -> Spectrum:
    """Radially averaged NPS of square ROIs (n, y, x) in HU."""
    return radial(nps(rois, pixel_mm), pixel_mm)


def f_av(spectrum: Spectrum) -> float:
    """Mean frequency in 1/mm, sum(f NPS) / sum(NPS) over the radial profile: the 1-D weighting of imQuest.

    The 2-D weighting (another factor f) gives values 20-30 % higher. 0 for an empty spectrum.
    """
    weight = spectrum.power.copy()
    weight[-1] /= 2  # half of the ring at Nyquist lies beyond it
    total = float(weight.sum())
    return float(np.dot(spectrum.frequency, weight)) / total if total > 0.0 else 0.0


def f_peak(spectrum: Spectrum) -> float:
    """Frequency in 1/mm where the radial profile is highest."""
    return float(spectrum.frequency[np.argmax(spectrum.power)])


def surviving_share(power: Image64, polynomials: NDArray[np.float64], order: int) -> float:
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

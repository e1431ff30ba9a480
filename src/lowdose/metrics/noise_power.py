"""Noise power spectrum (NPS) of uniform regions: the texture of the noise.

AAPM TG-233 / Samei et al., Med Phys 2019: NPS = mean |DFT(ROI - trend)|^2 dx dy / (Nx Ny), in HU^2 mm^2. The trend is
a fitted second-order surface or the mean of repeated scans, which non-linear denoisers require.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import fft

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import Mask
from lowdose.metrics.fidelity import Image, Image64
from lowdose.metrics.noise_frequency import Spectrum, radial_average
from lowdose.metrics.rois import corners_within, cut_squares

MIN_ROI = 8
"""Smallest side of a ROI, in pixels."""


@lru_cache(maxsize=8)
def _quadratic_basis(size: int) -> Image64:
    """Return an orthonormal basis (size * size, 6) of second-order surfaces on a square of ``size`` pixels."""
    u, v = np.meshgrid(*2 * [np.linspace(-1.0, 1.0, size)])
    surfaces = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=-1)
    basis: Image64 = np.linalg.qr(surfaces.reshape(size * size, 6))[0]
    return basis


def detrend(rois: Image) -> Image64:
    """Subtract from each square ROI (n, y, x) the second-order surface fitted to it."""
    if rois.ndim != 3 or rois.shape[1] != rois.shape[2] or rois.shape[1] < MIN_ROI or len(rois) == 0:
        raise GeometryMismatch(f"ROIs of shape {rois.shape}: need (n, size, size) with size >= {MIN_ROI}")
    flat = np.asarray(rois, dtype=np.float64).reshape(len(rois), -1)
    basis = _quadratic_basis(rois.shape[1])
    return (flat - (flat @ basis) @ basis.T).reshape(rois.shape)


def detrended_sds(rois: Image) -> Image64:
    """Compute the SD (n,) of square ROIs (n, y, x) about fitted second-order surfaces, less 6 degrees of freedom."""
    residual = detrend(rois)
    degrees_of_freedom = residual[0].size - _quadratic_basis(rois.shape[1]).shape[1]
    sds: Image64 = np.sqrt((residual**2).sum(axis=(1, 2)) / degrees_of_freedom)
    return sds


def nps(rois: Image, pixel_mm: float) -> Image64:
    """Compute the two-dimensional noise power spectrum of square ROIs after subtracting a second-order surface.

    The spectrum is the mean of |DFT(ROI - surface)|^2 dx dy / (Nx Ny) [1]_. The noise power that the fitted surface
    removes at the lowest frequencies is restored, so that the spectrum of white noise is flat.

    Parameters
    ----------
    rois : ndarray of float, shape (n, size, size), HU
        Uniform regions of at least 8 x 8 pixels; the spectrum is the mean over them.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    ndarray of float64, shape (size, size), HU^2 mm^2
        NPS in the frequency order of ``fft2``. Its sum times (1 / (size * pixel_mm))^2 is the variance of the ROIs.

    Raises
    ------
    GeometryMismatch
        If the ROIs do not have this shape.
    InvalidSetting
        If the pixel size or a value is not finite, or the pixel size is not positive.

    References
    ----------
    .. [1] Samei et al., "Performance evaluation of computed tomography systems: summary of AAPM Task Group 233",
       Med Phys 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import nps
    >>> rois = np.random.default_rng(0).normal(40, 10, (64, 32, 32))
    >>> variance = nps(rois, pixel_mm=0.5).sum() / (32 * 0.5) ** 2
    >>> round(float(variance))
    100
    """
    return _periodogram(detrend(rois), pixel_mm) / _surface_share(rois.shape[1])


def ensemble_nps(realisations: Image, pixel_mm: float) -> Image64:
    """Compute the two-dimensional noise power spectrum of one square ROI in repeated scans.

    The mean of the scans is subtracted instead of a surface [1]_, and the result is multiplied by n / (n - 1). So what
    is the same in all scans, anatomy or a denoiser's bias, does not count as noise, and the power at zero frequency is
    kept.

    Parameters
    ----------
    realisations : ndarray of float, shape (n, size, size), HU
        The same ROI of at least 8 x 8 pixels in n >= 2 scans.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    ndarray of float64, shape (size, size), HU^2 mm^2
        NPS in the frequency order of ``fft2``.

    Raises
    ------
    GeometryMismatch
        If the array does not have this shape, or for fewer than two scans.
    InvalidSetting
        If the pixel size or a value is not finite, or the pixel size is not positive.

    References
    ----------
    .. [1] Samei et al., "Performance evaluation of computed tomography systems: summary of AAPM Task Group 233",
       Med Phys 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import ensemble_nps
    >>> anatomy = 50.0 * np.eye(32)
    >>> scans = anatomy + np.random.default_rng(0).normal(0, 10, (64, 32, 32))
    >>> round(float(ensemble_nps(scans, pixel_mm=0.5).sum() / (32 * 0.5) ** 2))
    100
    """
    rois = np.asarray(realisations, dtype=np.float64)
    if rois.ndim != 3 or rois.shape[1] != rois.shape[2] or rois.shape[1] < MIN_ROI or len(rois) < 2:
        raise GeometryMismatch(
            f"realisations of shape {rois.shape}: need (n, size, size) with n >= 2 scans and size >= {MIN_ROI}; "
            "from a single scan use nps"
        )
    return _periodogram(rois - rois.mean(axis=0), pixel_mm) * (len(rois) / (len(rois) - 1))


def difference_nps(difference: Image, region: Mask, pixel_mm: float, size: int = 64, share: float = 0.95) -> Image64:
    """Compute the two-dimensional noise power spectrum of a difference of two images over a region.

    It is the ``nps`` of all squares inside the region, which overlap by three quarters.

    Parameters
    ----------
    difference : ndarray of float, shape (y, x), HU
        Difference of two images of the same anatomy, such as inserted noise.
    region : ndarray of bool, shape (y, x)
        Pixels to use.
    pixel_mm : float
        Pixel size in mm.
    size : int, default 64
        Side of the squares in pixels.
    share : float, default 0.95
        Fraction of the area of a square that must lie in the region.

    Returns
    -------
    ndarray of float64, shape (size, size), HU^2 mm^2
        NPS in the frequency order of ``fft2``.

    Raises
    ------
    GeometryMismatch
        If the shapes differ or no square fits.
    InvalidSetting
        For a share outside (0, 1], or as in ``nps``.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import difference_nps
    >>> difference = np.random.default_rng(0).normal(0, 10, (128, 128))
    >>> power = difference_nps(difference, np.ones((128, 128), bool), pixel_mm=0.5, size=32)
    >>> round(float(power.sum() / (32 * 0.5) ** 2), -1)
    100.0
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
    """Compute mean |DFT|^2 dx dy / (Nx Ny) of residuals (n, y, x); raise InvalidSetting for values not finite."""
    if not (math.isfinite(pixel_mm) and pixel_mm > 0):
        raise InvalidSetting(f"pixel size {pixel_mm} mm: needs a positive number")
    if not np.isfinite(residual).all():
        raise InvalidSetting("ROIs with values that are not finite have no noise power spectrum: place them elsewhere")
    power: Image64 = np.mean(np.abs(fft.fft2(residual)) ** 2, axis=0) * pixel_mm**2 / residual[0].size
    return power


@lru_cache(maxsize=8)
def _surface_share(size: int) -> Image64:
    """Compute the fraction of white noise power left after the surface fit at each frequency (y, x) of ``fft2``.

    Only the lowest frequencies lose power. At zero frequency all is lost and cannot be restored; its entry is 1.
    """
    surfaces = _quadratic_basis(size).T.reshape(-1, size, size)
    share: Image64 = 1.0 - (np.abs(fft.fft2(surfaces)) ** 2).sum(axis=0) / size**2
    share[0, 0] = 1.0
    return share


def nps_radial(rois: Image, pixel_mm: float) -> Spectrum:
    """Compute the radially averaged noise power spectrum of square ROIs, ``radial_average`` of ``nps``.

    Parameters
    ----------
    rois : ndarray of float, shape (n, size, size), HU
        Uniform regions of at least 8 x 8 pixels.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    Spectrum
        Frequency in 1/mm and power in HU^2 mm^2.

    Raises
    ------
    GeometryMismatch, InvalidSetting
        As in ``nps``.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import nps_radial
    >>> rois = np.random.default_rng(0).normal(40, 10, (64, 32, 32))
    >>> round(float(nps_radial(rois, pixel_mm=0.5).power.mean()))  # 10^2 HU^2 times 0.5^2 mm^2
    25
    """
    return radial_average(nps(rois, pixel_mm), pixel_mm)

"""Radial profile of a noise power spectrum, and its mean and peak frequency."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from lowdose.metrics.fidelity import Image64

_PEAK_SHARE = 0.7
"""Fraction of the maximum above which the radial profile is taken as its top."""


class Spectrum(NamedTuple):
    """Radially averaged noise power spectrum.

    Attributes
    ----------
    frequency : ndarray of float64, shape (k,), 1/mm
        Evenly spaced from 1 / (N dx) to the Nyquist frequency, for ROIs of N pixels of size dx.
    power : ndarray of float64, shape (k,), HU^2 mm^2

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import Spectrum, f_av
    >>> round(f_av(Spectrum(np.array([0.1, 0.2, 0.3]), np.array([1.0, 1.0, 2.0]))), 3)
    0.2
    """

    frequency: Image64
    power: Image64


def radial_average(power: Image64, pixel_mm: float) -> Spectrum:
    """Average a square two-dimensional noise power spectrum over rings that are one DFT bin wide.

    Parameters
    ----------
    power : ndarray of float, shape (size, size), HU^2 mm^2
        NPS in the frequency order of ``fft2``, as returned by ``nps``, ``ensemble_nps`` or ``difference_nps``.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    Spectrum
        Radial NPS up to the Nyquist frequency, without zero frequency, which the surface fit removes.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import radial_average
    >>> radial_average(np.ones((8, 8)), pixel_mm=0.5).frequency
    array([0.25, 0.5 , 0.75, 1.  ])
    """
    size = len(power)
    frequency = fft.fftfreq(size)
    ring = np.rint(size * np.hypot(frequency[:, None], frequency[None, :])).astype(np.intp).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    rings = np.arange(1, size // 2 + 1)
    return Spectrum(rings / (size * pixel_mm), mean[rings])


def f_av(spectrum: Spectrum) -> float:
    """Compute the mean noise frequency, sum(f NPS) / sum(NPS), over the radial profile.

    This is the one-dimensional weighting of imQuest. ``f_av_2d`` gives values that are 15 to 30 % higher, so state
    which of the two is reported.

    Parameters
    ----------
    spectrum : Spectrum
        Radial NPS, from ROIs with an even number of pixels on a side. With an odd number, the result for a spectrum
        that reaches the Nyquist frequency is 1 to 2 % too low.

    Returns
    -------
    float
        Mean frequency in 1/mm; 0 for a spectrum without power.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import Spectrum, f_av
    >>> round(f_av(Spectrum(np.array([0.1, 0.2, 0.3]), np.array([1.0, 1.0, 2.0]))), 3)
    0.2
    """
    weight = spectrum.power.copy()
    weight[-1] /= 2  # half of the last ring lies beyond the Nyquist frequency
    total = float(weight.sum())
    return float(np.dot(spectrum.frequency, weight)) / total if total > 0.0 else 0.0


def f_av_2d(power: Image64, pixel_mm: float) -> float:
    """Compute the mean noise frequency, sum(f NPS) / sum(NPS), over the frequency plane up to Nyquist.

    Zero frequency is left out, and so are the corners beyond the Nyquist frequency, which exist only along the
    diagonals.

    Parameters
    ----------
    power : ndarray of float, shape (size, size), HU^2 mm^2
        NPS in the frequency order of ``fft2``.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    float
        Mean frequency in 1/mm; 0 for a spectrum without power.

    Examples
    --------
    White noise has a mean frequency of 2/3 of the Nyquist frequency, here 1/mm:

    >>> import numpy as np
    >>> from lowdose.metrics import f_av_2d
    >>> round(f_av_2d(np.ones((128, 128)), pixel_mm=0.5), 2)
    0.67
    """
    frequency = fft.fftfreq(len(power), pixel_mm)
    f = np.hypot(frequency[:, None], frequency[None, :])
    weight = np.where((f > 0.0) & (f * pixel_mm < 0.5 + 1e-9), power, 0.0)
    total = float(weight.sum())
    return float((f * weight).sum()) / total if total > 0.0 else 0.0


def f_peak(spectrum: Spectrum) -> float:
    """Find the peak frequency of a radial noise power spectrum, the maximum of a fitted parabola.

    CT spectra are broad, and the highest of many noisy values may lie anywhere near the top. So a parabola is fitted
    where the smoothed profile stays above 70 % of its maximum; for a ramp under a Hann window the result is at most
    2 % too high. If that range has fewer than four values, as for a single line, the highest value is the peak.

    Parameters
    ----------
    spectrum : Spectrum
        Radial NPS.

    Returns
    -------
    float
        Peak frequency in 1/mm; 0 for a spectrum without power.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import Spectrum, f_peak
    >>> frequency = np.linspace(0.02, 1.0, 50)
    >>> round(f_peak(Spectrum(frequency, 1.0 - (frequency - 0.4) ** 2)), 2)
    0.4
    """
    frequency, power = spectrum
    smooth = gaussian_filter1d(power, len(power) / 16, mode="nearest")
    top = int(np.argmax(smooth))
    if not smooth[top] > 0.0:
        return 0.0
    below = np.flatnonzero(smooth < _PEAK_SHARE * smooth[top])
    first = int(below[below < top].max(initial=-1)) + 1
    last = int(below[below > top].min(initial=len(power)))
    if last - first < 4:
        return float(frequency[np.argmax(power)])
    parabola = np.polynomial.Polynomial.fit(frequency[first:last], power[first:last], 2)
    fine = np.linspace(frequency[first], frequency[last - 1], 1000)
    return float(fine[np.argmax(parabola(fine))])

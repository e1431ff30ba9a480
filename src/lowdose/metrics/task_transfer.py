"""Task transfer function (TTF) of a circular insert: spatial resolution at the contrast of a task.

AAPM TG-233 / Samei et al., Med Phys 2019; Richard et al., Med Phys 2012. A non-linear denoiser resolves edges of high
contrast better than those of low contrast, so its resolution is measured at the contrast and dose of each task.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.disc_edge import BIN_PX, SURROUND, Disc, EdgeSpread, cut_out, distances, edge_spread, fit_disc
from lowdose.metrics.fidelity import Image, Image64

MIN_DISC_PX = 8.0
"""Smallest diameter of the disc, in pixels."""

WINDOW_RISES = 15.0
"""Full width of the Hann window on the line spread function, in rise distances of the edge."""

MIN_RADIUS_SIGMAS = 3.0
"""Smallest radius of the disc, in standard deviations of the blur of its edge."""

MIN_Q = 40.0
"""Smallest contrast / noise x sqrt(disc radius in px)."""

_RISE_SIGMAS = 2.0729
"""Rise distance of an edge blurred by a Gaussian, from 15 to 85 %, in standard deviations of the Gaussian."""

_FFT_LENGTH = 8192


@dataclass(frozen=True)
class TaskTransferFunction:
    """Task transfer function (TTF) of one insert.

    Attributes
    ----------
    frequency : ndarray of float64, shape (k,), 1/mm
        From 0 to 1 / pixel size.
    value : ndarray of float64, shape (k,)
        TTF, normalised to 1 at zero frequency.
    f50, f10 : 1/mm, or None
        Frequency at which the TTF first falls to 0.5 and to 0.1; None if it does not within ``frequency``.
    contrast : HU
        Insert minus background.
    noise : HU
        Standard deviation of a single image about the radial profile in the background.
    centre : tuple of float, pixels
        Fitted centre (y, x).
    radius_mm : mm
        Radius of the fitted edge.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import TaskTransferFunction
    >>> curve = TaskTransferFunction(
    ...     np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.5, 0.9, contrast=-60.0, noise=12.0, centre=(8, 8), radius_mm=5
    ... )
    >>> curve.cnr
    5.0
    """

    frequency: Image64
    value: Image64
    f50: float | None
    f10: float | None
    contrast: float
    noise: float
    centre: tuple[float, float]
    radius_mm: float

    @property
    def cnr(self) -> float:
        """Contrast-to-noise ratio |contrast| / noise of a single image; infinite without noise."""
        return abs(self.contrast) / self.noise if self.noise > 0 else math.inf


def ttf(images: Image, centre: tuple[float, float], diameter_mm: float, pixel_mm: float) -> TaskTransferFunction:
    """Measure the task transfer function (TTF) of a circular insert.

    The edge of the insert is fitted, its radial profile is differentiated to the line spread function, and the Fourier
    transform of that is the TTF [1]_ [2]_.

    Parameters
    ----------
    images : ndarray of float, shape (n, y, x) or (y, x)
        Images in HU, which are averaged: slices of one rod, or repeated scans of one slice. There must be nothing else
        within 1.8 radii of the centre.
    centre : tuple of float
        Approximate centre (y, x) in pixels, right within half a radius.
    diameter_mm : float
        Approximate diameter in mm, right within half a radius.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    TaskTransferFunction
        The curve over frequency in 1/mm, f50 and f10 in 1/mm, contrast and noise in HU, and the fitted disc.

    Raises
    ------
    GeometryMismatch
        If the images have another shape or the disc is too near the border.
    InvalidSetting
        If a number is not finite, a size is not positive, the disc is smaller than 8 pixels, blurred up to its centre
        or not found, or the contrast is too low for the noise (q below 40, see Notes).

    Notes
    -----
    The precision depends on q = contrast / noise of the averaged image x sqrt(disc radius in px). On simulated discs,
    f50 has a relative scatter of about 2 / q and f10 of 6 / q; both are 1 % too high because of the finite window.

    The curve includes all that blurs the image. If a disc was drawn by averaging over pixels of side a, this includes
    their aperture, the mean over directions t of sinc(f a cos t) sinc(f a sin t).

    References
    ----------
    .. [1] Samei et al., "Performance evaluation of computed tomography systems: summary of AAPM Task Group 233",
       Med Phys 2019.
    .. [2] Richard et al., "Towards task-based assessment of CT performance", Med Phys 2012.

    Examples
    --------
    A disc of 100 HU with a radius of 5 mm, blurred by a Gaussian with a standard deviation of 0.5 mm, whose exact f50
    is 0.375/mm:

    >>> import numpy as np
    >>> from scipy.special import erfc
    >>> from lowdose.metrics import ttf
    >>> y, x = np.mgrid[:45, :45] - 22.0
    >>> image = 50.0 * erfc((0.5 * np.hypot(y, x) - 5.0) / (np.sqrt(2.0) * 0.5))
    >>> curve = ttf(image, centre=(22, 22), diameter_mm=10.0, pixel_mm=0.5)
    >>> round(curve.f50, 2), round(curve.contrast), round(float(curve.radius_mm), 1)
    (0.38, 100, 5.0)
    """
    stack = _validated(images, centre, diameter_mm, pixel_mm)
    radius = diameter_mm / 2 / pixel_mm
    planes, corner = cut_out(stack, centre, radius)
    if not np.isfinite(planes).all():
        raise InvalidSetting("the insert or its surround has values that are not finite: take other images")
    mean = planes.mean(axis=0)
    disc = fit_disc(mean, _initial_disc(mean, (centre[0] - corner[0], centre[1] - corner[1]), radius))
    fitted_centre = (disc.y + corner[0], disc.x + corner[1])
    planes, corner = cut_out(stack, fitted_centre, disc.radius)
    disc = disc._replace(y=fitted_centre[0] - corner[0], x=fitted_centre[1] - corner[1])
    spread = edge_spread(planes.mean(axis=0), disc)
    _check_measurable(disc, _noise(planes.mean(axis=0, keepdims=True), disc, spread), pixel_mm)
    frequency, value = _transfer(spread, disc, pixel_mm)
    return TaskTransferFunction(
        frequency,
        value,
        first_crossing(0.5, frequency, value),
        first_crossing(0.1, frequency, value),
        disc.contrast,
        _noise(planes, disc, spread),
        fitted_centre,
        disc.radius * pixel_mm,
    )


def first_crossing(level: float, frequency: Image64, value: Image64) -> float | None:
    """Find the frequency at which a curve (k,) first falls to a level, by linear interpolation.

    Returns None if the curve never falls to ``level`` or starts at or below it.
    """
    below = np.flatnonzero(value <= level)
    if len(below) == 0 or below[0] == 0:
        return None
    after = int(below[0])
    fraction = (value[after - 1] - level) / (value[after - 1] - value[after])
    return float(frequency[after - 1] + fraction * (frequency[after] - frequency[after - 1]))


def _validated(images: Image, centre: tuple[float, float], diameter_mm: float, pixel_mm: float) -> Image64:
    """Return the images as float64 (n, y, x), or raise an error that says why the arguments cannot be used."""
    if images.ndim not in (2, 3) or images.size == 0:
        raise GeometryMismatch(f"images of shape {images.shape}: need (y, x) or (n, y, x)")
    numbers = (*centre, diameter_mm, pixel_mm)
    if not np.isfinite(numbers).all() or diameter_mm <= 0 or pixel_mm <= 0:
        raise InvalidSetting(
            f"centre {centre}, diameter {diameter_mm} mm, pixel {pixel_mm} mm: needs finite numbers, sizes above 0"
        )
    if diameter_mm / pixel_mm < MIN_DISC_PX:
        raise InvalidSetting(
            f"a disc of {diameter_mm:g} mm is {diameter_mm / pixel_mm:.1f} px wide, and an edge needs {MIN_DISC_PX:g}: "
            "take a larger insert, or reconstruct it with smaller pixels"
        )
    return np.asarray(images, dtype=np.float64).reshape(-1, *images.shape[-2:])


def _initial_disc(image: Image64, centre: tuple[float, float], radius: float) -> Disc:
    """Return the start of the fit: the disc as given, with the median HU well inside and well outside of it."""
    disc = Disc(centre[0], centre[1], radius, 1.0, 0.0, 0.0)
    distance = distances(image, disc)
    inside = float(np.median(image[distance < 0.6 * radius]))
    outside = float(np.median(image[(distance > 1.4 * radius) & (distance < SURROUND * radius)]))
    return disc._replace(background=outside, contrast=inside - outside)


def _noise(planes: Image64, disc: Disc, spread: EdgeSpread) -> float:
    """Compute the SD in HU of images (n, y, x) about the radial profile, in the outer half of the surround."""
    distance = distances(planes[0], disc)
    outer = (distance > (1 + SURROUND) / 2 * disc.radius) & (distance < SURROUND * disc.radius)
    residual = planes[:, outer] - np.interp(distance[outer], spread.radius, spread.value)
    return float(residual.std())


def _check_measurable(disc: Disc, noise_of_mean: float, pixel_mm: float) -> None:
    """Raise InvalidSetting if the contrast is too low or the edge too blurred to measure the resolution."""
    if abs(disc.contrast) * math.sqrt(disc.radius) <= MIN_Q * noise_of_mean:
        needed = MIN_Q * noise_of_mean / math.sqrt(disc.radius)
        raise InvalidSetting(
            f"a contrast of {disc.contrast:.1f} HU is too low for the noise of {noise_of_mean:.1f} HU that is left "
            f"after averaging: a disc of this size needs more than {needed:.1f} HU; average more slices or scans, or "
            "take a larger insert or one of higher contrast"
        )
    if disc.radius < MIN_RADIUS_SIGMAS * disc.sigma:
        raise InvalidSetting(
            f"the edge is blurred over {disc.sigma * pixel_mm:.1f} mm (SD), too wide for a disc of radius "
            f"{disc.radius * pixel_mm:.1f} mm, which needs {MIN_RADIUS_SIGMAS:g} times that: take a larger insert"
        )


def _transfer(spread: EdgeSpread, disc: Disc, pixel_mm: float) -> tuple[Image64, Image64]:
    """Compute the transfer function of an edge: |FFT| of its windowed line spread function, 1 at zero frequency.

    Returns the frequencies in 1/mm up to 1 / pixel size and the values.
    """
    radius = (spread.radius[1:] + spread.radius[:-1]) / 2
    # Correction for the curved edge: the radial derivative of a blurred disc is sqrt(radius / r) times the line spread
    # function of a straight edge (the leading term of the Bessel functions in its Hankel transform). Without it, f50
    # of a small and blurred disc is 2 % too low; it also lowers the weight of the inner rings, which have few pixels
    # and much noise.
    line = np.diff(spread.value) * np.sqrt(radius / disc.radius)
    half = WINDOW_RISES * _RISE_SIGMAS * disc.sigma / 2
    offset = np.clip((radius - disc.radius) / half, -1.0, 1.0)
    window = 0.5 * (1.0 + np.cos(np.pi * offset))
    value = np.abs(fft.rfft(line * window, _FFT_LENGTH))
    frequency = fft.rfftfreq(_FFT_LENGTH, BIN_PX * pixel_mm)
    kept = frequency <= 1.0 / pixel_mm
    return frequency[kept], value[kept] / value[0]

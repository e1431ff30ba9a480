"""Resolution at the contrast of a task: the task transfer function of a circular insert.

AAPM TG-233 / Samei et al., Med Phys 2019; Richard et al., Med Phys 2012. A non-linear denoiser resolves strong edges
better than faint ones, so its resolution is measured at the contrast and dose of each task.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.disc_edge import BIN_PX, SURROUND, Disc, EdgeSpread, cut_out, distances, edge_spread, fit_disc
from lowdose.metrics.fidelity import Image, Image64

SMALLEST_PX = 8.0
WINDOW_RISES = 15.0
FEWEST_SIGMAS = 3.0
LEAST_Q = 40.0
_RISE_SIGMAS = 2.0729
"""15 to 85 % of a Gaussian's integral, in its SD."""
_LENGTH = 8192


@dataclass(frozen=True)
class TaskTransferFunction:
    """The task transfer function of one insert.

    frequency: (k,) 1/mm, from 0 to one over the pixel. value: (k,), 1 at 0. f50, f10: where it first falls to 0.5 and
    0.1, 1/mm; None if it does not within ``frequency``. contrast: insert less background, HU. noise: SD of a single
    image about the radial profile in the background, HU. centre: (y, x) px. radius_mm: of the fitted edge.
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
        """Contrast over noise of a single image; infinite without noise."""
        return abs(self.contrast) / self.noise if self.noise > 0 else math.inf


def ttf(images: Image, centre: tuple[float, float], diameter_mm: float, pixel_mm: float) -> TaskTransferFunction:
    """TTF of a disc insert in HU images (n, y, x) or (y, x): slices of one rod, or scans of one slice, averaged.

    ``centre`` (y, x) in px and ``diameter_mm`` need be right within half a radius; the edge itself is fitted. Nothing
    else may lie within 1.8 radii. The curve is that of the image: a disc drawn by averaging over pixels contains their
    aperture, the mean over directions of sinc(f a cos) sinc(f a sin).

    Precision goes with q = contrast / noise of the averaged image x sqrt(disc radius in px): measured on simulated
    discs, f50 scatters by about 2 / q of its value and f10 by 6 / q; both read 1 % high by the width of the window.

    Raises GeometryMismatch for shapes or a disc too near the border, InvalidSetting for a disc below 8 px, one blurred
    to its centre, one not found, and a contrast too low for the noise (q below 40).
    """
    stack = _checked(images, centre, diameter_mm, pixel_mm)
    radius = diameter_mm / 2 / pixel_mm
    near, corner = cut_out(stack, centre, radius)
    if not np.isfinite(near).all():
        raise InvalidSetting("the insert or its surround has values that are not finite: take other images")
    mean = near.mean(axis=0)
    disc = fit_disc(mean, _guess(mean, (centre[0] - corner[0], centre[1] - corner[1]), radius))
    found = (disc.y + corner[0], disc.x + corner[1])
    planes, corner = cut_out(stack, found, disc.radius)
    disc = disc._replace(y=found[0] - corner[0], x=found[1] - corner[1])
    spread = edge_spread(planes.mean(axis=0), disc)
    _check_found(disc, _noise(planes.mean(axis=0, keepdims=True), disc, spread), pixel_mm)
    frequency, value = _transfer(spread, disc, pixel_mm)
    return TaskTransferFunction(
        frequency,
        value,
        first_crossing(0.5, frequency, value),
        first_crossing(0.1, frequency, value),
        disc.contrast,
        _noise(planes, disc, spread),
        found,
        disc.radius * pixel_mm,
    )


def first_crossing(level: float, frequency: Image64, value: Image64) -> float | None:
    """Where a curve (k,) that starts above ``level`` first falls to it, by linear interpolation; None if nowhere."""
    below = np.flatnonzero(value <= level)
    if len(below) == 0 or below[0] == 0:
        return None
    after = int(below[0])
    share = (value[after - 1] - level) / (value[after - 1] - value[after])
    return float(frequency[after - 1] + share * (frequency[after] - frequency[after - 1]))


def _checked(images: Image, centre: tuple[float, float], diameter_mm: float, pixel_mm: float) -> Image64:
    """The images as (n, y, x) float64, or why they or the numbers cannot be used."""
    if images.ndim not in (2, 3) or images.size == 0:
        raise GeometryMismatch(f"images of shape {images.shape}: need (y, x) or (n, y, x)")
    numbers = (*centre, diameter_mm, pixel_mm)
    if not np.isfinite(numbers).all() or diameter_mm <= 0 or pixel_mm <= 0:
        raise InvalidSetting(
            f"centre {centre}, diameter {diameter_mm} mm, pixel {pixel_mm} mm: needs finite numbers, sizes above 0"
        )
    if diameter_mm / pixel_mm < SMALLEST_PX:
        raise InvalidSetting(
            f"a disc of {diameter_mm:g} mm is {diameter_mm / pixel_mm:.1f} px wide, and an edge needs {SMALLEST_PX:g}: "
            "take a larger insert, or reconstruct it with smaller pixels"
        )
    return np.asarray(images, dtype=np.float64).reshape(-1, *images.shape[-2:])


def _guess(image: Image64, centre: tuple[float, float], radius: float) -> Disc:
    """Where the fit starts: the disc as given, with the HU found well inside and well outside of it."""
    disc = Disc(centre[0], centre[1], radius, 1.0, 0.0, 0.0)
    distance = distances(image, disc)
    inside = float(np.median(image[distance < 0.6 * radius]))
    outside = float(np.median(image[(distance > 1.4 * radius) & (distance < SURROUND * radius)]))
    return disc._replace(background=outside, contrast=inside - outside)


def _noise(planes: Image64, disc: Disc, spread: EdgeSpread) -> float:
    """SD of planes (n, y, x) about the radial profile, in the outer half of the surround, HU."""
    distance = distances(planes[0], disc)
    outer = (distance > (1 + SURROUND) / 2 * disc.radius) & (distance < SURROUND * disc.radius)
    residual = planes[:, outer] - np.interp(distance[outer], spread.radius, spread.value)
    return float(residual.std())


def _check_found(disc: Disc, noise_of_mean: float, pixel_mm: float) -> None:
    """InvalidSetting where the edge found says nothing of the resolution."""
    if abs(disc.contrast) * math.sqrt(disc.radius) <= LEAST_Q * noise_of_mean:
        needed = LEAST_Q * noise_of_mean / math.sqrt(disc.radius)
        raise InvalidSetting(
            f"a contrast of {disc.contrast:.1f} HU is too low for the noise of {noise_of_mean:.1f} HU that is left "
            f"after averaging: a disc of this size needs more than {needed:.1f} HU; average more slices or scans, or "
            "take a larger insert or one of higher contrast"
        )
    if disc.radius < FEWEST_SIGMAS * disc.sigma:
        raise InvalidSetting(
            f"the edge is blurred over {disc.sigma * pixel_mm:.1f} mm (SD), too wide for a disc of radius "
            f"{disc.radius * pixel_mm:.1f} mm, which needs {FEWEST_SIGMAS:g} times that: take a larger insert"
        )


def _transfer(spread: EdgeSpread, disc: Disc, pixel_mm: float) -> tuple[Image64, Image64]:
    """Frequencies in 1/mm up to one over the pixel, and |FFT| of the windowed line spread, 1 at 0."""
    radius = (spread.radius[1:] + spread.radius[:-1]) / 2
    # A curved edge: the radial derivative of a blurred disc is sqrt(radius / r) times the line spread of a straight
    # edge (the leading term of the Bessel functions in its Hankel transform). Without the root, f50 of a small and
    # blurred disc reads 2 % low; with it, the noise of the inner rings, which have few pixels, weighs less as well.
    line = np.diff(spread.value) * np.sqrt(radius / disc.radius)
    half = WINDOW_RISES * _RISE_SIGMAS * disc.sigma / 2
    offset = np.clip((radius - disc.radius) / half, -1.0, 1.0)
    window = 0.5 * (1.0 + np.cos(np.pi * offset))
    value = np.abs(fft.rfft(line * window, _LENGTH))
    frequency = fft.rfftfreq(_LENGTH, BIN_PX * pixel_mm)
    kept = frequency <= 1.0 / pixel_mm
    return frequency[kept], value[kept] / value[0]

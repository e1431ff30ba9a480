"""The edge of a circular insert, sampled finer than the pixels: where it lies, and the image along its radius."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import erfc

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.fidelity import Image64

BIN_PX = 0.1
SURROUND = 1.8
"""Outer radius of what is looked at, over the radius of the disc."""


class Disc(NamedTuple):
    """A disc with a blurred edge. Lengths in pixels, centre (y, x); sigma: SD of the edge. Values in HU."""

    y: float
    x: float
    radius: float
    sigma: float
    background: float
    contrast: float


class EdgeSpread(NamedTuple):
    """Mean of an image over rings of 0.1 px about a disc: radius (k,) in px, evenly from 0; value (k,) in HU."""

    radius: Image64
    value: Image64


def cut_out(image: Image64, centre: tuple[float, float], radius: float) -> tuple[Image64, tuple[int, int]]:
    """The square of the planes (..., y, x) about a disc and its surround, and its upper left corner; all in px.

    Raises GeometryMismatch when it reaches beyond the image.
    """
    reach = math.ceil(SURROUND * radius) + 1
    top, left = (round(at) - reach for at in centre)
    height, width = image.shape[-2:]
    side = 2 * reach + 1
    if top < 0 or left < 0 or top + side > height or left + side > width:
        raise GeometryMismatch(
            f"the disc at row {centre[0]:.1f}, column {centre[1]:.1f} needs {reach} px of image on every side "
            f"({SURROUND} radii), which the image of {height} x {width} px does not have: take a disc farther inside, "
            "or check its centre (y, x) and diameter"
        )
    return image[..., top : top + side, left : left + side], (top, left)


def fit_disc(image: Image64, guess: Disc) -> Disc:
    """The disc in a cut-out (y, x): least squares, an error function along the radius.

    The centre is that of the edge's symmetry, whatever the true shape of the edge. Raises InvalidSetting when the fit
    runs away from ``guess``, by more than half a radius.
    """
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    used = distances(image, guess) <= SURROUND * guess.radius
    rows, columns, values = y[used], x[used], image[used]
    scale = abs(guess.contrast) or 1.0

    def misfit(p: Image64) -> Image64:
        disc = Disc(p[0], p[1], p[2], p[3], guess.background + scale * p[4], scale * p[5])
        model = profile(np.hypot(rows - disc.y, columns - disc.x), disc)
        return np.asarray((model - values) / scale, dtype=np.float64)

    half = guess.radius / 2
    start = np.array([guess.y, guess.x, guess.radius, guess.sigma, 0.0, guess.contrast / scale])
    spread = np.array([half, half, half, np.inf, np.inf, np.inf])
    low, high = start - spread, start + spread
    low[3], high[3] = 0.05, guess.radius
    y0, x0, radius, sigma, background, contrast = least_squares(misfit, start, bounds=(low, high)).x
    if max(abs(y0 - guess.y), abs(x0 - guess.x), abs(radius - guess.radius)) > 0.98 * half:
        raise InvalidSetting(
            f"no disc of radius {guess.radius:.1f} px within {half:.1f} px of the centre given: check centre (y, x), "
            "diameter and pixel size, or average more images"
        )
    return Disc(y0, x0, radius, sigma, guess.background + scale * background, scale * contrast)


def profile(radius: Image64, disc: Disc) -> Image64:
    """The disc's HU at these distances from its centre, px."""
    fall = np.asarray(erfc((radius - disc.radius) / (math.sqrt(2.0) * disc.sigma)), dtype=np.float64)
    return disc.background + disc.contrast / 2 * fall


def distances(image: Image64, disc: Disc) -> Image64:
    """Distance of every pixel (y, x) of an image from the disc's centre, px."""
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    away: Image64 = np.hypot(y - disc.y, x - disc.x)
    return away


def edge_spread(image: Image64, disc: Disc) -> EdgeSpread:
    """Radial edge spread of a cut-out (y, x): means over rings, interpolated to even radii where rings are empty."""
    distance = distances(image, disc).ravel()
    inside = distance <= SURROUND * disc.radius
    distance, values = distance[inside], image.ravel()[inside]
    ring = (distance / BIN_PX).astype(np.intp)
    count = np.bincount(ring)
    filled = count > 0
    mean_radius = np.bincount(ring, distance)[filled] / count[filled]
    mean_value = np.bincount(ring, values)[filled] / count[filled]
    radius = np.arange(0.0, SURROUND * disc.radius, BIN_PX)
    return EdgeSpread(radius, np.interp(radius, mean_radius, mean_value))

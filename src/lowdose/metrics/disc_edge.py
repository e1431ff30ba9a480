"""Edge of a circular insert: its fitted position and its radial profile, sampled finer than the pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import erfc

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.fidelity import Image64

BIN_PX = 0.1
"""Width of the rings of the radial profile, in pixels."""

SURROUND = 1.8
"""Outer radius of the evaluated region, in radii of the disc."""


class Disc(NamedTuple):
    """Disc with an edge that is blurred by a Gaussian.

    Attributes
    ----------
    y, x : pixels
        Centre.
    radius : pixels
    sigma : pixels
        Standard deviation of the blur of the edge.
    background : HU
    contrast : HU
        Disc minus background.
    """

    y: float
    x: float
    radius: float
    sigma: float
    background: float
    contrast: float


class EdgeSpread(NamedTuple):
    """Edge spread function of a disc: means over rings that are 0.1 px wide.

    Attributes
    ----------
    radius : ndarray of float64, shape (k,), pixels
        Evenly spaced from 0.
    value : ndarray of float64, shape (k,), HU
    """

    radius: Image64
    value: Image64


def cut_out(image: Image64, centre: tuple[float, float], radius: float) -> tuple[Image64, tuple[int, int]]:
    """Cut the square around a disc and its surround out of images (..., y, x).

    ``centre`` (y, x) and ``radius`` are in pixels. Returns the square and its upper left corner (y, x) in the image.
    Raises GeometryMismatch if the square extends beyond the image.
    """
    half_side = math.ceil(SURROUND * radius) + 1
    top, left = (round(coordinate) - half_side for coordinate in centre)
    height, width = image.shape[-2:]
    side = 2 * half_side + 1
    if top < 0 or left < 0 or top + side > height or left + side > width:
        raise GeometryMismatch(
            f"the disc at row {centre[0]:.1f}, column {centre[1]:.1f} needs {half_side} px of image on every side "
            f"({SURROUND} radii), which the image of {height} x {width} px does not have: take a disc farther inside, "
            "or check its centre (y, x) and diameter"
        )
    return image[..., top : top + side, left : left + side], (top, left)


def fit_disc(image: Image64, guess: Disc) -> Disc:
    """Fit a disc to an image (y, x) by least squares, with an error function as its radial profile.

    The fitted centre is the centre of symmetry of the edge, whatever the true shape of the edge profile. Raises
    InvalidSetting if the fit moves away from ``guess`` by more than half a radius.
    """
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    nearby = distances(image, guess) <= SURROUND * guess.radius
    rows, columns, values = y[nearby], x[nearby], image[nearby]
    scale = abs(guess.contrast) or 1.0

    def residuals(p: Image64) -> Image64:
        disc = Disc(p[0], p[1], p[2], p[3], guess.background + scale * p[4], scale * p[5])
        model = profile(np.hypot(rows - disc.y, columns - disc.x), disc)
        return np.asarray((model - values) / scale, dtype=np.float64)

    half = guess.radius / 2
    start = np.array([guess.y, guess.x, guess.radius, guess.sigma, 0.0, guess.contrast / scale])
    tolerance = np.array([half, half, half, np.inf, np.inf, np.inf])
    low, high = start - tolerance, start + tolerance
    low[3], high[3] = 0.05, guess.radius
    y0, x0, radius, sigma, background, contrast = least_squares(residuals, start, bounds=(low, high)).x
    if max(abs(y0 - guess.y), abs(x0 - guess.x), abs(radius - guess.radius)) > 0.98 * half:
        raise InvalidSetting(
            f"no disc of radius {guess.radius:.1f} px within {half:.1f} px of the centre given: check centre (y, x), "
            "diameter and pixel size, or average more images"
        )
    return Disc(y0, x0, radius, sigma, guess.background + scale * background, scale * contrast)


def profile(radius: Image64, disc: Disc) -> Image64:
    """Compute the HU of a disc at given distances from its centre, in pixels."""
    edge = np.asarray(erfc((radius - disc.radius) / (math.sqrt(2.0) * disc.sigma)), dtype=np.float64)
    return disc.background + disc.contrast / 2 * edge


def distances(image: Image64, disc: Disc) -> Image64:
    """Compute the distance of each pixel (y, x) of an image from the centre of a disc, in pixels."""
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    distance: Image64 = np.hypot(y - disc.y, x - disc.x)
    return distance


def edge_spread(image: Image64, disc: Disc) -> EdgeSpread:
    """Compute the radial edge spread function of a disc in an image (y, x).

    It is the mean over each ring of 0.1 px, interpolated linearly to evenly spaced radii and over empty rings.
    """
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

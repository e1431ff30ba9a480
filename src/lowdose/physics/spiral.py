"""Where the noise of a spiral scan lies: it depends on where the source stood when it passed the slice.

In a spiral scan a pixel is measured from each direction as often as the source sees it from either end of that line
while the slice is within the beam. Near the source the beam is narrow along z, far from it wide. A pixel on the side
where the source stood when it passed the slice is therefore measured more often along the line to the source than a
pixel on the other side, and noise is up to twice as strong on the far side (docs/dose-simulation.md).

No header states where the source stood. The noise that the slice has already lies in the same places, so it tells.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_erosion,
    gaussian_filter,
    gaussian_filter1d,
    gaussian_gradient_magnitude,
    map_coordinates,
)

from lowdose.image import HU
from lowdose.physics.geometry import Grid, ParallelBeam
from lowdose.physics.scanner import Scanner

Array = NDArray[np.float64]

FULL_WEIGHT = 0.8
"""Share of the beam's width along z whose rays count fully; towards its edge the weight falls to zero as cos^2
(weighted filtered back-projection, Stierstorfer et al., PMB 2004). Fitted to L096, like the rest of this module."""

LEAST_EXPLAINED = 0.1
"""Least share of the variance of log SD that the source angle must explain. Noise that is even, or anatomy that looks
like noise, stays below."""

LEAST_SD = 0.3
"""Least noise (HU, above about half of the Nyquist frequency) that tells where the source stood."""

ANGLES, VIEWS, POINTS = 24, 48, 32
"""Source angles tried, directions summed over, and points along each side of the slice."""

_SMALLEST_WEIGHT = 1e-3
"""Weight of rays beyond the beam, used only where no other ray has that direction."""


def spiral_gain(scanner: Scanner, hu: HU, photons: Array, grid: Grid) -> HU | None:
    """Return the factor (y, x) on the SD of the noise that tells where it lies in a spiral scan.

    The factor is 1 on average over all source angles. The source angle is the one that best explains the local SD of
    the noise of the slice itself, and its effect is scaled down where the noise shows less of it.

    Parameters
    ----------
    scanner : Scanner
        Its ``pitch`` is that of the spiral; 0 = axial scan.
    hu : ndarray of float32, shape (y, x), HU
        Slice at full dose with its own noise.
    photons : ndarray of float64, shape (views, detectors)
        Expected counts behind the slice on parallel rays.
    grid : Grid
        Pixel grid of the slice.

    Returns
    -------
    ndarray of float32, shape (y, x), or None
        None for an axial scan, and where the noise of the slice does not tell where the source stood.
    """
    if scanner.pitch == 0 or min(grid.shape) < POINTS:
        return None
    variance = ray_variance(scanner, photons, grid)
    measured, weight = own_noise(hu, grid)
    repeats = inverse_repeats(scanner.rays, grid, scanner.fan.source_mm, scanner.pitch)
    level = variance.mean(axis=0)
    relative = np.einsum("avyx,vyx->ayx", repeats, variance) / (len(variance) * level)
    relative /= relative.mean(axis=0)
    fit = _fit_angle(measured, weight, level, relative)
    if fit is None:
        return None
    angle, share = fit
    return _on_pixels(relative[angle] ** (0.5 * share), grid)


def ray_variance(scanner: Scanner, photons: Array, grid: Grid) -> Array:
    """Return the variance of the line integral through each point along each view, (views, y, x)."""
    rays = scanner.rays
    views = _views(rays)
    counts = photons[views]
    lines = gaussian_filter1d(
        1 / np.maximum(counts, 1.0) + scanner.electronic / np.maximum(counts, 1.0) ** 2, 4, axis=1
    )
    y, x = _points(grid)
    angle = rays.angles()[views][:, None, None]
    place = np.rint((x * np.cos(angle) + y * np.sin(angle) - rays.positions()[0]) / rays.sample_mm).astype(int)
    place = np.clip(place, 0, rays.detectors - 1).reshape(len(lines), -1)
    return np.take_along_axis(lines, place, axis=1).reshape(len(lines), *y.shape)


@lru_cache(maxsize=4)
def inverse_repeats(rays: ParallelBeam, grid: Grid, source_mm: float, pitch: float) -> NDArray[np.float32]:
    """Return 1 / (number of independent measurements) of each point along each view, (angles, views, y, x).

    The first axis is the angle of the source as it passes the slice. A ray that leaves the source at angle b from
    there is farther along z by pitch * b / (2 pi) beam widths, and its weight w depends on this and on the distance
    of the point from the source. All rays of one direction, from either end and of neighbouring turns, are averaged
    with these weights, which leaves sum(w^2) / sum(w)^2 of the variance of one.
    """
    y, x = _points(grid)
    sources = (2 * np.pi / ANGLES * np.arange(ANGLES))[:, None, None]
    views = rays.angles()[_views(rays)]
    found = np.empty((ANGLES, len(views), *y.shape), np.float32)
    for number, view in enumerate(views):
        across, along = x * np.cos(view) + y * np.sin(view), -x * np.sin(view) + y * np.cos(view)
        half_chord = np.sqrt(source_mm**2 - np.minimum(np.abs(across), 0.95 * source_mm) ** 2)
        total = squares = np.zeros(1)
        for end in (-1, 1):
            distance = np.maximum(half_chord - end * along, 0.05 * source_mm)
            source_y = across * np.sin(view) + end * half_chord * np.cos(view)
            source_x = across * np.cos(view) - end * half_chord * np.sin(view)
            turn = (np.arctan2(source_y, source_x) - sources + np.pi) % (2 * np.pi) - np.pi
            for whole in (-2 * np.pi, 0.0, 2 * np.pi):
                weight = _row_weight(pitch * np.abs(turn + whole) / np.pi * source_mm / distance)
                total, squares = total + weight, squares + weight**2
        found[:, number] = squares / total**2
    return found


def _row_weight(offset: Array) -> Array:
    """Return the weight of a ray at ``offset`` half widths of the beam from its middle along z."""
    fall = np.clip((offset - FULL_WEIGHT) / (1 - FULL_WEIGHT), 0.0, 1.0)
    return np.asarray(np.cos(np.pi / 2 * fall) ** 2 + _SMALLEST_WEIGHT * np.exp(-offset))


def own_noise(hu: HU, grid: Grid) -> tuple[Array, Array]:
    """Measure the local SD of the noise of a slice in flat soft tissue: (SD in HU, weight), both at the points (y, x).

    Only the part that a Gaussian of one pixel removes counts, which holds little anatomy; its share of the noise is
    the same everywhere. The weight is the share of flat soft tissue around the point.
    """
    pixel = np.sqrt(np.prod(grid.pixel_mm))
    image = np.asarray(hu, np.float64)
    smooth = gaussian_filter(image, 1.5 / pixel)
    soft = binary_erosion((smooth > -150) & (smooth < 200), iterations=max(1, round(3 / pixel)))
    if soft.any():
        steepness = gaussian_gradient_magnitude(np.clip(image, -1000, 1000), 1.9 / pixel)
        soft &= steepness <= np.quantile(steepness[soft], 0.7)
    here = _indices(grid)
    if not soft.any():
        return np.zeros(here[0].shape), np.zeros(here[0].shape)
    squares = (image - gaussian_filter(image, 1.0)) ** 2
    limited = np.minimum(squares, 20 * np.median(squares[soft]))  # edges that remain are no noise
    share = gaussian_filter(soft.astype(np.float64), 9 / pixel)
    mean = gaussian_filter(limited * soft, 9 / pixel) / np.maximum(share, 1e-6)
    return np.sqrt(mean)[here], share[here]


def _fit_angle(measured: Array, weight: Array, level: Array, relative: Array) -> tuple[int, float] | None:
    """Return the index of the source angle and the share (0 to 1) of its effect that the measured SD shows.

    The log of the measured SD less that of the SD without a spiral is fitted by least squares.
    """
    used = (weight > 0.15) & (measured > LEAST_SD)
    if np.count_nonzero(used) < POINTS:
        return None
    w = weight[used] / weight[used].sum()
    excess = np.log(measured[used]) - 0.5 * np.log(level[used])
    effects = 0.5 * np.log(relative[:, used])
    excess, effects = excess - w @ excess, effects - (effects @ w)[:, None]
    share = np.clip(effects @ (w * excess) / (effects**2 @ w), 0.0, 1.0)
    explained = 1 - ((excess - share[:, None] * effects) ** 2 @ w) / (w @ excess**2 + 1e-12)
    best = int(np.argmax(explained))
    return (best, float(share[best])) if explained[best] >= LEAST_EXPLAINED else None


def _views(rays: ParallelBeam) -> slice:
    return slice(0, rays.views, max(1, rays.views // VIEWS))


def _indices(grid: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row and column of the points, (y, x) each."""
    rows, columns = (np.arange(size // POINTS // 2, size, size // POINTS) for size in grid.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return y, x


def _points(grid: Grid) -> tuple[Array, Array]:
    """Return the positions (mm) of the points, (y, x) each."""
    rows, columns = _indices(grid)
    y, x = grid.axes()
    return y[rows], x[columns]


def _on_pixels(values: Array, grid: Grid) -> HU:
    """Interpolate values at the points (y, x) to all pixels."""
    steps = [size // POINTS for size in grid.shape]
    places = [(np.arange(size) - step // 2) / step for size, step in zip(grid.shape, steps, strict=True)]
    return np.asarray(map_coordinates(values, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest"), np.float32)

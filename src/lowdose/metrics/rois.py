"""Square regions of interest (ROIs): placing them inside an image region and cutting them out of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import HU, Mask
from lowdose.metrics.fidelity import Image, Image64

Corners = NDArray[np.intp]
SMOOTHED_PX = 3.0
"""SD (pixels) of the Gaussian after which an image is judged to be flat."""
SOFT_TISSUE_HU = (-20.0, 160.0)
"""Range (HU) of soft tissue in the smoothed image; fat is left out."""


def corners_within(region: Mask, size: int, step: int, share: float = 1.0) -> Corners:
    """Find the squares on a regular grid that lie inside a region and return their upper left corners.

    A square of ``size`` pixels is kept if at least the fraction ``share`` of its area is in ``region`` (y, x); the
    grid has a spacing of ``step`` pixels. Returns corners (n, 2) as (y, x), or an array (0, 2) if no square fits.
    Raises GeometryMismatch for a region that is not two-dimensional, InvalidSetting for a size or step below 1 or a
    share outside (0, 1].
    """
    if region.ndim != 2:
        raise GeometryMismatch(f"a region of shape {region.shape}: squares are placed in one plane (y, x)")
    if size < 1 or step < 1 or not 0 < share <= 1:
        raise InvalidSetting(
            f"squares of {size} px every {step} px, share {share}: needs 1 or more, and 0 < share <= 1"
        )
    if min(region.shape) < size:
        return np.empty((0, 2), dtype=np.intp)
    covered = np.lib.stride_tricks.sliding_window_view(region, (size, size))[::step, ::step].mean(axis=(2, 3))
    return np.argwhere(covered >= share) * step


def flattest_squares(image: HU, size: int, most: int) -> Corners:
    """Find the flattest squares of soft tissue that do not overlap and return their upper left corners.

    image: (y, x) HU. Flat is where the gradient of the smoothed image is small on average over the square. Returns up
    to ``most`` corners (n, 2) as (y, x), flattest first, or an array (0, 2) if no square of ``size`` pixels is soft
    tissue.
    """
    smooth = gaussian_filter(image.astype(np.float32), SMOOTHED_PX)
    slope = np.hypot(*np.gradient(smooth))
    low, high = SOFT_TISSUE_HU
    soft = uniform_filter(((smooth > low) & (smooth < high)).astype(np.float32), size) > 0.999
    score = np.where(soft, uniform_filter(slope, size), np.inf)
    half, corners = size // 2, list[tuple[int, int]]()
    while len(corners) < most:
        y, x = np.unravel_index(int(np.argmin(score)), score.shape)
        if not np.isfinite(score[y, x]):
            break
        top, left = int(y) - half, int(x) - half
        score[max(0, y - size) : y + size, max(0, x - size) : x + size] = np.inf
        if top >= 0 and left >= 0 and top + size <= image.shape[0] and left + size <= image.shape[1]:
            corners.append((top, left))
    return np.array(corners, dtype=np.intp).reshape(-1, 2)


def cut_squares(image: Image, corners: Corners, size: int) -> Image64:
    """Cut squares of ``size`` pixels out of an image (y, x) at upper left corners (n, 2): copies (n, size, size)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return windows[corners[:, 0], corners[:, 1]].astype(np.float64)

"""Square regions of interest (ROIs): placing them inside an image region and cutting them out of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import Mask
from lowdose.metrics.fidelity import Image, Image64

Corners = NDArray[np.intp]


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


def cut_squares(image: Image, corners: Corners, size: int) -> Image64:
    """Cut squares of ``size`` pixels out of an image (y, x) at upper left corners (n, 2): copies (n, size, size)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return windows[corners[:, 0], corners[:, 1]].astype(np.float64)

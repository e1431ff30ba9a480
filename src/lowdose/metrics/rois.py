"""Square regions of interest: where they fit into a region of the image, and what lies in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import Mask
from lowdose.metrics.fidelity import Image, Image64

Corners = NDArray[np.intp]


def corners_within(region: Mask, size: int, step: int, share: float = 1.0) -> Corners:
    """Upper left corners (n, 2), on a grid of ``step`` pixels, of the squares of which ``share`` or more is region.

    None may fit: (0, 2). Raises GeometryMismatch or InvalidSetting for what is no plane, size, step or share.
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
    """The squares (n, size, size) of a plane (y, x) with these upper left corners (n, 2)."""
    view = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return view[corners[:, 0], corners[:, 1]].astype(np.float64)

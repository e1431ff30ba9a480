"""Which part of a slice, and of each of its regions, belongs to the body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, binary_opening

from lowdose.hounsfield import BODY_HU
from lowdose.image import HU, Mask

Span = tuple[int, int]
"""First pixel of a region along one axis, and the one past its last."""

OPENING = 3
"""Erosions, in pixels, that noise in air, tubes and the couch's cover do not survive."""


def body_mask(hu: HU) -> Mask:
    """Return the pixels (y, x) above ``BODY_HU`` without thin parts, and all that they enclose, such as the lungs."""
    return np.asarray(binary_fill_holes(binary_opening(hu > BODY_HU, iterations=OPENING)), np.bool_)


def region_shares(mask: Mask, rows: tuple[Span, ...], columns: tuple[Span, ...]) -> NDArray[np.float32]:
    """Return the share of each region (row, column) that lies in a mask (y, x), 0 to 1."""
    return np.array([[mask[slice(*down), slice(*across)].mean() for across in columns] for down in rows], np.float32)

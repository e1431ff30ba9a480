"""Boxes around findings in a slice."""

from __future__ import annotations

import numpy as np

from lowdose.image import Mask

Box = tuple[float, float, float, float]
"""Top, left, bottom and right edge in pixels; the pixel in row i and column j reaches from (i, j) to (i + 1, j + 1)."""


def mask_box(mask: Mask) -> Box:
    """Return the box around the True pixels, at least one, of a mask (y, x).

    >>> mask = np.zeros((8, 8), bool)
    >>> mask[2:4, 5] = True
    >>> mask_box(mask)
    (2.0, 5.0, 4.0, 6.0)
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return float(rows[0]), float(columns[0]), float(rows[-1] + 1), float(columns[-1] + 1)

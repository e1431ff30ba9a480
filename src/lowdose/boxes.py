"""Boxes around findings in a slice."""

from __future__ import annotations

from collections.abc import Sequence

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


def around(box: Box, side: int, shape: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns of a square of ``side`` pixels around a box, moved or cut to lie in an image (y, x).

    >>> around((0.0, 50.0, 4.0, 54.0), 10, (64, 8))
    (slice(0, 10, None), slice(0, 8, None))
    """
    spans = []
    for low, high, count in zip(box[:2], box[2:], shape, strict=True):
        first = min(max(round((low + high - side) / 2), 0), max(count - side, 0))
        spans.append(slice(first, min(first + side, count)))
    return spans[0], spans[1]


def longer_side(box: Box) -> float:
    """Return the longer side of a box in pixels."""
    return max(box[2] - box[0], box[3] - box[1])

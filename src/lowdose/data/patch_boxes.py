"""Boxes of patches, as a detector learns them: of annotated findings and of inserted lesions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowdose.boxes import Box

LESION = 0
"""Label of an inserted lesion; annotated findings have the labels of their data, best from 1."""


def move_boxes(
    boxes: Sequence[Box], corner: tuple[float, float], zoom: float, size: int, turns: int, mirrored: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return boxes, (M, 4), as they lie in a patch, and which of them have any area there, (M,).

    corner: of the patch in the image that the boxes are of, in its pixels. zoom: pixels of the patch in one of these.
    size: height and width of the patch. turns, mirrored: quarter turns as of ``numpy.rot90``, then left to right.
    """
    moved = np.clip((np.array(boxes).reshape(-1, 4) - (*corner, *corner)) * zoom, 0, size)
    for _ in range(turns):
        top, left, bottom, right = moved.T
        moved = np.stack([size - right, top, size - left, bottom], axis=1)
    if mirrored:
        top, left, bottom, right = moved.T
        moved = np.stack([top, size - right, bottom, size - left], axis=1)
    return moved.astype(np.float32), (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])

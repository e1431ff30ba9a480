"""Positions of the pixels of one slice in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.phantom.drawing.distances import F32, Box

Points = NDArray[Any]


@dataclass(frozen=True)
class Plane:
    """Positions of the pixels of one slice in the patient.

    Attributes
    ----------
    x, y : (h, w), mm
        Positions of the pixels after warping.
    z : mm
        Height of the slice.
    pixel_mm : mm
        Pixel size.
    corner : (y, x), mm
        Position of the first pixel from the centre of the body, before rotation and warping.
    turn : radians
        Roll of the body.
    margin : mm
        How far warping may move a point.
    """

    x: F32
    y: F32
    z: float
    pixel_mm: float
    corner: tuple[float, float]
    turn: float
    margin: float

    def box(self, low: Sequence[float], high: Sequence[float]) -> Box:
        """Return the pixels that the rectangle from ``low`` to ``high``, (x, y) in mm, may touch.

        The range is empty where the rectangle lies outside the slice.
        """
        c, s = np.cos(self.turn), np.sin(self.turn)
        xs = [c * x + s * y for x in (low[0], high[0]) for y in (low[1], high[1])]
        ys = [c * y - s * x for x in (low[0], high[0]) for y in (low[1], high[1])]
        h, w = self.x.shape
        grow, (y0, x0) = self.margin + 2 * self.pixel_mm, self.corner
        j0, j1 = (min(xs) - grow - x0) / self.pixel_mm, (max(xs) + grow - x0) / self.pixel_mm + 1
        i0, i1 = (min(ys) - grow - y0) / self.pixel_mm, (max(ys) + grow - y0) / self.pixel_mm + 1
        return _clip_index(i0, h), _clip_index(i1, h), _clip_index(j0, w), _clip_index(j1, w)


def _clip_index(index: float, size: int) -> int:
    return int(min(max(index, 0), size))

"""The pixels of one slice in the patient."""

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
    """The pixels of one slice: x, y (h, w) mm, warped; z mm. margin: how far, mm, warping may move a point."""

    x: F32
    y: F32
    z: float
    pixel_mm: float
    corner: tuple[float, float]
    turn: float
    margin: float

    def box(self, low: Sequence[float], high: Sequence[float]) -> Box:
        """Pixels that may hold the rectangle from ``low`` to ``high`` (x, y) mm; empty where it lies outside."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        xs = [c * x + s * y for x in (low[0], high[0]) for y in (low[1], high[1])]
        ys = [c * y - s * x for x in (low[0], high[0]) for y in (low[1], high[1])]
        h, w = self.x.shape
        grow, (y0, x0) = self.margin + 2 * self.pixel_mm, self.corner
        j0, j1 = (min(xs) - grow - x0) / self.pixel_mm, (max(xs) + grow - x0) / self.pixel_mm + 1
        i0, i1 = (min(ys) - grow - y0) / self.pixel_mm, (max(ys) + grow - y0) / self.pixel_mm + 1
        return _within(i0, h), _within(i1, h), _within(j0, w), _within(j1, w)


def _within(at: float, size: int) -> int:
    return int(min(max(at, 0), size))

"""Exact area of each pixel that a disc or a bar covers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane64 = NDArray[Any]


def disc(size: int, pixel_mm: float, centre: tuple[float, float], half: tuple[float, float]) -> Plane64:
    """Return the exact share of each pixel (size, size) that lies inside an ellipse.

    ``centre`` is (y, x) in mm from the middle of the image, ``half`` are the half axes (y, x) in mm.
    """
    edges = (np.arange(size + 1) - 0.5 * size) * pixel_mm
    v, u = (edges - centre[0]) / half[0], (edges - centre[1]) / half[1]
    corners = _corner_area(v[:, None], u[None, :])
    cells = np.diff(np.diff(corners, axis=0), axis=1)
    return np.asarray(np.clip(cells * half[0] * half[1] / pixel_mm**2, 0.0, 1.0))


def _corner_area(y: Plane64, x: Plane64) -> Plane64:
    """Return the signed area of the unit disc within the rectangle from its centre to (y, x), in closed form."""
    a, b = np.minimum(np.abs(x), 1.0), np.minimum(np.abs(y), 1.0)
    turn = np.minimum(np.sqrt(1.0 - b * b), a)
    area = turn * b + _segment(a) - _segment(turn)
    return np.asarray(np.sign(x) * np.sign(y) * area)


def _segment(t: Plane64) -> Plane64:
    """Return the area below the unit circle from 0 to t."""
    return np.asarray(0.5 * (t * np.sqrt(np.maximum(1.0 - t * t, 0.0)) + np.arcsin(t)))


def bar(size: int, pixel_mm: float, centre: tuple[float, float], sides: tuple[float, float]) -> Plane64:
    """Return the exact share of each pixel (size, size) that lies inside an axis-aligned rectangle.

    ``centre`` is (y, x) in mm from the middle of the image, ``sides`` are the side lengths (y, x) in mm.
    """
    edges = (np.arange(size + 1) - 0.5 * size) * pixel_mm
    shares = []
    for c, side in zip(centre, sides, strict=True):
        inside = np.clip(edges, c - 0.5 * side, c + 0.5 * side)
        shares.append(np.diff(inside) / pixel_mm)
    return np.outer(shares[0], shares[1])

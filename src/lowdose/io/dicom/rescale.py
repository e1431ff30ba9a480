"""Conversion between stored pixel values and HU, which keeps every unchanged pixel bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import OutputRefused
from lowdose.image import HU, Mask

StoredPixels = NDArray[Any]
"""Array of pixel values as a file stores them."""


def to_hu(stored: StoredPixels, slope: float, intercept: float) -> HU:
    """Return stored * slope + intercept as float32 HU, any shape."""
    if slope == 1.0:
        return np.add(stored, np.float32(intercept), dtype=np.float32, casting="unsafe")
    hu = np.multiply(stored, np.float32(slope), dtype=np.float32, casting="unsafe")
    hu += np.float32(intercept)
    return hu


def changed_pixels(hu: HU, original: HU, valid: Mask) -> Mask:
    """Return the mask of valid pixels in which a result differs from what was read.

    Raises OutputRefused when the result has another shape or holds NaN or infinity.
    """
    if hu.shape != original.shape:
        raise OutputRefused(f"a result of shape {hu.shape} cannot replace a slice of shape {original.shape}")
    if not np.isfinite(hu).all():
        raise OutputRefused("the result holds NaN or infinity; nothing was written")
    return np.asarray((hu != original) & valid)


def unrounded(hu: HU, slope: float, intercept: float) -> NDArray[np.float64]:
    """Return (HU - intercept) / slope, the stored value before rounding."""
    exact: NDArray[np.float64] = np.subtract(hu, intercept, dtype=np.float64)
    if slope != 1.0:
        exact /= slope
    return exact


def nearest(exact: NDArray[np.float64], low: int, high: int) -> NDArray[np.signedinteger[Any]]:
    """Return the nearest integers, clipped to [low, high]."""
    rounded = np.rint(exact)
    np.clip(rounded, low, high, out=rounded)
    return rounded.astype(np.int32 if low >= -(1 << 31) and high < 1 << 31 else np.int64)


def to_stored(hu: HU, slope: float, intercept: float, low: int, high: int) -> NDArray[np.signedinteger[Any]]:
    """Return the nearest stored integer of each HU, clipped to [low, high]."""
    return nearest(unrounded(hu, slope, intercept), low, high)

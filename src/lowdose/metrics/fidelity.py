"""How far an image is from its reference: RMSE and PSNR. Plain arrays, any shape; nothing is clipped here."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting

Image = NDArray[np.floating]
Image64 = NDArray[np.float64]


def as_pair(image: Image, reference: Image) -> tuple[Image64, Image64]:
    """Both as float64, or GeometryMismatch: float32 sums of squares lose digits over a 512 x 512 slice."""
    if image.shape != reference.shape:
        raise GeometryMismatch(f"an image of shape {image.shape} cannot be compared with one of {reference.shape}")
    return np.asarray(image, dtype=np.float64), np.asarray(reference, dtype=np.float64)


def check_range(data_range: float) -> float:
    """The range L of PSNR and SSIM, or InvalidSetting."""
    if not math.isfinite(data_range) or data_range <= 0:
        raise InvalidSetting(f"data range {data_range}: needs a positive number, in the unit of the image")
    return data_range


def rmse(image: Image, reference: Image) -> float:
    """Root mean square error, in the unit of the arrays (HU for HU)."""
    a, b = as_pair(image, reference)
    return float(np.sqrt(np.mean((a - b) ** 2)))


def psnr(image: Image, reference: Image, data_range: float) -> float:
    """Peak signal-to-noise ratio 20 log10(L / RMSE), in dB; infinite for equal arrays.

    ``data_range`` L has no default on purpose: it moves CT's PSNR by 17-20 dB.
    """
    check_range(data_range)
    error = rmse(image, reference)
    return math.inf if error == 0.0 else 20.0 * math.log10(data_range / error)

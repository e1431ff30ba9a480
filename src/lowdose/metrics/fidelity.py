"""Root mean square error and peak signal-to-noise ratio of arrays of any shape; nothing is clipped here."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting

Image = NDArray[np.floating]
Image64 = NDArray[np.float64]


def as_pair(image: Image, reference: Image) -> tuple[Image64, Image64]:
    """Return two arrays of one shape as float64.

    In float32 the sums of squares over a 512 x 512 slice lose digits. Raises GeometryMismatch for different shapes.
    """
    if image.shape != reference.shape:
        raise GeometryMismatch(f"an image of shape {image.shape} cannot be compared with one of {reference.shape}")
    return np.asarray(image, dtype=np.float64), np.asarray(reference, dtype=np.float64)


def check_range(data_range: float) -> float:
    """Return the data range L of PSNR and SSIM, or raise InvalidSetting unless it is finite and positive."""
    if not math.isfinite(data_range) or data_range <= 0:
        raise InvalidSetting(f"data range {data_range}: needs a positive number, in the unit of the image")
    return data_range


def rmse(image: Image, reference: Image) -> float:
    """Compute the root mean square error between an image and its reference.

    Parameters
    ----------
    image, reference : ndarray of float, any shape
        Two arrays of the same shape and unit. The result is the same when they are exchanged.

    Returns
    -------
    float
        Root mean square error in the unit of the arrays (HU for HU), computed in double precision.

    Raises
    ------
    GeometryMismatch
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import rmse
    >>> reference = np.array([[0.0, 40.0], [60.0, -100.0]])
    >>> rmse(reference + np.array([[3.0, -3.0], [3.0, -3.0]]), reference)
    3.0
    """
    a, b = as_pair(image, reference)
    return float(np.sqrt(np.mean((a - b) ** 2)))


def psnr(image: Image, reference: Image, data_range: float) -> float:
    """Compute the peak signal-to-noise ratio of an image, 20 log10(data_range / RMSE).

    Parameters
    ----------
    image, reference : ndarray of float, any shape
        Two arrays of the same shape and unit. The result is the same when they are exchanged.
    data_range : float
        Data range L in the unit of the arrays, for example the width of the HU window. It has no default on purpose:
        the usual choices move the PSNR of a CT image by 17 to 20 dB.

    Returns
    -------
    float
        PSNR in dB; infinite for equal arrays.

    Raises
    ------
    GeometryMismatch
        If the shapes differ.
    InvalidSetting
        If ``data_range`` is not finite and positive.

    Examples
    --------
    An error of 10 HU everywhere, on a window 400 HU wide:

    >>> import numpy as np
    >>> from lowdose.metrics import psnr
    >>> reference = np.zeros((8, 8))
    >>> round(psnr(reference + 10.0, reference, data_range=400.0), 2)
    32.04
    >>> psnr(reference, reference, data_range=400.0)
    inf
    """
    check_range(data_range)
    error = rmse(image, reference)
    return math.inf if error == 0.0 else 20.0 * math.log10(data_range / error)

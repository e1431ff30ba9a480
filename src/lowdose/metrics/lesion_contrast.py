"""Contrast that a processed image keeps of a lesion that is known because it was inserted."""

from __future__ import annotations

import numpy as np

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.image import Mask
from lowdose.metrics.fidelity import Image
from lowdose.phantom.slice_lesions import distance

CORE_RADIUS = 0.6
"""Radius of the core of a lesion, inside its soft rim, as a share of the lesion's radius."""


def lesion_core(shape: tuple[int, int], centre: tuple[float, float], diameter_px: float) -> Mask:
    """Return the core of a lesion: the pixels within 0.6 radii, and at least its centre and the four next to it.

    Parameters
    ----------
    shape : tuple of int
        Shape (y, x) of the image.
    centre : tuple of float
        Centre (y, x) in pixels.
    diameter_px : float
        Diameter in pixels.

    Returns
    -------
    ndarray of bool, shape (y, x)
        True in the core.

    Examples
    --------
    >>> from lowdose.metrics.lesion_contrast import lesion_core
    >>> int(lesion_core((32, 32), (16, 16), diameter_px=1.0).sum())
    5
    """
    return np.asarray(distance(shape, *centre) <= max(1.0, CORE_RADIUS * diameter_px / 2))


def contrast_kept(change: Image, added: Image, weights: Image | Mask) -> float:
    """Compute the share of a lesion's contrast that a processed image keeps.

    An image is processed twice, with the lesion and without it; noise and anatomy cancel in the difference. Of a lesion
    that was not inserted, contrast may be compared by weights whose sum is 0, as those of inside less outside.

    Parameters
    ----------
    change : ndarray of float, shape (y, x)
        Processed image with the lesion less the one without it, HU.
    added : ndarray of float, shape (y, x)
        What the lesion added to the input, HU.
    weights : ndarray of bool or float, shape (y, x)
        Where both are averaged, see `lesion_core`, or with which weights.

    Returns
    -------
    float
        1 for the identity, 0 for a lesion that is gone, and negative where a dark lesion became a bright one.

    Raises
    ------
    GeometryMismatch
        If the shapes differ.
    InvalidSetting
        If the lesion has no contrast.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics.lesion_contrast import contrast_kept, lesion_core
    >>> added, core = np.full((32, 32), -30.0), lesion_core((32, 32), (16, 16), 8.0)
    >>> contrast_kept(0.75 * added, added, core)
    0.75
    """
    if not change.shape == added.shape == weights.shape:
        raise GeometryMismatch(f"shapes {change.shape}, {added.shape} and {weights.shape}: must be the same")
    where = weights != 0
    own = weights[where].astype(np.float64)
    whole = float(own @ added[where])
    if whole == 0.0:
        raise InvalidSetting("the lesion adds 0 HU within its core; give one that changes the image there")
    return float(own @ change[where]) / whole

"""What features of an image know of its noise: its strength and texture, or nothing but one realisation of it.

A loss in a feature space can teach a denoiser texture only if the features of a smooth image differ from those of a
noisy one in the same way for every realisation of the noise. Pixels do not: the mean of many noisy images is the smooth
one, so that a smooth image is always the nearest. All functions take features with the realisations first and the
channels second; distances are squared Euclidean distances over everything else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting

Features = NDArray[np.floating]


def systematic_share(noisy: Features, smooth: Features) -> float:
    """Return the share of the distance from smooth to noisy that is the same for all realisations of the noise.

    B = |mean phi(noisy) - phi(smooth)|^2 / mean |phi(noisy) - phi(smooth)|^2. The numerator is the product of the
    means of two halves of the realisations, whose expectation is the squared mean itself: with one mean of n
    realisations, 1/n would pass for sight. Features that are blind to texture have 0, features that know nothing but
    texture have 1. The estimate can be a little below 0.

    Parameters
    ----------
    noisy : ndarray of float, shape (n, ...)
        Features of the image with n independent realisations of the same noise, n even, at least 2.
    smooth : ndarray of float, shape (...)
        Features of the image without noise.

    Returns
    -------
    float
        B, at most 1.

    Raises
    ------
    GeometryMismatch
        If the shapes do not fit.
    InvalidSetting
        If the number of realisations is odd or 0, or if noise does not change the features at all.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import systematic_share
    >>> noise = np.random.default_rng(0).normal(0, 20, (32, 100, 100))
    >>> abs(systematic_share(noise, np.zeros((100, 100)))) < 0.01  # pixels
    True
    >>> round(systematic_share(noise.std((1, 2)), np.zeros(())), 2)  # the standard deviation
    1.0
    """
    change = _changes(noisy, smooth)
    half = len(change) // 2
    return float((change[:half].mean(0) * change[half:].mean(0)).sum() / _distance(change))


def noise_distance_ratio(noisy: Features, smooth: Features) -> float:
    """Return the distance of two realisations of the noise, relative to that of noisy and smooth.

    D = mean |phi(noisy) - phi(other noisy)|^2 / mean |phi(noisy) - phi(smooth)|^2. Below 1 the features prefer an
    image with another realisation of the noise to a smooth one; squared error has 2. D is 2 (1 - B).

    Parameters
    ----------
    noisy : ndarray of float, shape (n, ...)
        Features of the image with n independent realisations of the same noise, n even, at least 2.
    smooth : ndarray of float, shape (...)
        Features of the image without noise.

    Returns
    -------
    float
        D, not negative.

    Raises
    ------
    GeometryMismatch
        If the shapes do not fit.
    InvalidSetting
        If the number of realisations is odd or 0, or if noise does not change the features at all.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import noise_distance_ratio
    >>> noise = np.random.default_rng(0).normal(0, 20, (32, 100, 100))
    >>> round(noise_distance_ratio(noise, np.zeros((100, 100))), 2)
    2.0
    """
    change = _changes(noisy, smooth)
    half = len(change) // 2
    return float(np.square(change[:half] - change[half:]).sum() / half / _distance(change))


def texture_axis_share(noisy: Features, smooth: Features) -> float:
    """Return the share of the features' variance that lies along the direction in which noise moves them.

    Positions of a noisy and of the smooth image are pooled; the direction is the mean change of all positions. Features
    of which one bright channel says "noise" and the others hardly vary have a share near 1: their distances measure
    nothing but noise.

    Parameters
    ----------
    noisy : ndarray of float, shape (n, channels, ...)
        Features of the image with n independent realisations of the same noise.
    smooth : ndarray of float, shape (channels, ...)
        Features of the image without noise.

    Returns
    -------
    float
        Share from 0 to 1.

    Raises
    ------
    GeometryMismatch
        If the shapes do not fit.
    InvalidSetting
        If the number of realisations is odd or 0, or if noise does not change the features at all.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import texture_axis_share
    >>> content = np.random.default_rng(0).normal(size=(3, 1000))
    >>> noisy = content + np.array([4.0, 0.0, 0.0])[:, None]  # noise moves the first of three channels
    >>> round(texture_axis_share(np.stack([noisy, noisy]), content), 1)
    0.7
    """
    direction = _changes(noisy, smooth).mean(0).reshape(smooth.shape[0], -1).mean(1)
    positions = np.concatenate([np.reshape(part, (smooth.shape[0], -1)) for part in (noisy[0], smooth)], 1)
    centred = positions - positions.mean(1, keepdims=True)
    along = direction @ centred / np.linalg.norm(direction)
    return float(np.square(along).sum() / np.square(centred).sum())


def texture_leakage(noisy_left: Features, smooth: Features) -> float:
    """Return how much noise in the left half of an image changes features of the right half, relative to the left.

    Parameters
    ----------
    noisy_left : ndarray of float, shape (channels, y, x)
        Features of the image with noise in its left half only.
    smooth : ndarray of float, shape (channels, y, x)
        Features of the image without noise.

    Returns
    -------
    float
        Ratio of mean squared changes; 0 for features that depend on the image at their own place alone.

    Raises
    ------
    GeometryMismatch
        If the shapes do not fit.
    InvalidSetting
        If noise does not change the features at all.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import texture_leakage
    >>> noise = np.zeros((1, 8, 8))
    >>> noise[..., :4] = 1
    >>> texture_leakage(noise, np.zeros((1, 8, 8)))
    0.0
    """
    square = np.square(_changes(np.stack([noisy_left, noisy_left]), smooth)[0])
    middle = square.shape[-1] // 2
    return float(square[..., middle:].mean() / square[..., :middle].mean())


def _changes(noisy: Features, smooth: Features) -> NDArray[np.float64]:
    """Return the changes of the features by each realisation, (n, ...), in float64."""
    noisy, smooth = np.asarray(noisy, np.float64), np.asarray(smooth, np.float64)
    if noisy.ndim != smooth.ndim + 1 or noisy.shape[1:] != smooth.shape:
        raise GeometryMismatch(f"features of noisy images {noisy.shape} and of the smooth one {smooth.shape}")
    if not len(noisy) or len(noisy) % 2:
        raise InvalidSetting(f"{len(noisy)} realisations of the noise: needs an even number, at least 2")
    change: NDArray[np.float64] = noisy - smooth
    if not change.any():
        raise InvalidSetting("noise does not change these features at all: they have no texture to measure")
    return change


def _distance(change: NDArray[np.float64]) -> float:
    return float(np.square(change).sum() / len(change))

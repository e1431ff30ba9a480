"""Frechet distance between two sets of image features, as in the Frechet inception distance (FID)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch

Features = NDArray[np.floating]


def frechet_distance(first: Features, second: Features) -> float:
    """Compute the squared Frechet distance between the normal distributions fitted to two sets of features.

    The distance is |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), where m and C are the mean and the covariance of the
    rows. It is symmetric, and 0 for two equal sets.

    Parameters
    ----------
    first, second : ndarray of float, shape (n_images, channels)
        Features, one row per image. The number of images may differ between the sets and may be smaller than the
        number of channels.

    Returns
    -------
    float
        Squared distance, in the squared unit of the features.

    Raises
    ------
    GeometryMismatch
        If the numbers of channels differ, if an array is not two-dimensional or has fewer than two rows, or if it
        contains NaN or infinity.

    Notes
    -----
    A value means nothing without the network that computed the features, and it depends on the number of images. The
    covariance divides by n - 1.

    References
    ----------
    .. [1] Dowson & Landau, "The Frechet distance between multivariate normal distributions", J. Multivariate Anal.
       1982.
    .. [2] Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium",
       NeurIPS 2017.

    Examples
    --------
    Moving a set of features by a vector costs the squared length of the vector:

    >>> import numpy as np
    >>> from lowdose.metrics import frechet_distance
    >>> features = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 3.0]])
    >>> round(frechet_distance(features, features + np.array([3.0, 4.0])), 6)
    25.0
    """
    feature_sets = [_validated(features) for features in (first, second)]
    if feature_sets[0].shape[1] != feature_sets[1].shape[1]:
        raise GeometryMismatch(
            f"features of {feature_sets[0].shape[1]} and of {feature_sets[1].shape[1]} channels: take one network"
        )
    means = [features.mean(axis=0) for features in feature_sets]
    # C = R'R with R from a QR factorisation, so tr (C1 C2)^(1/2) is the sum of the singular values of R1 R2'. This
    # avoids a matrix square root, which loses half of its digits for a covariance without full rank.
    roots = [
        np.linalg.qr(features - mean, mode="r") / np.sqrt(len(features) - 1)
        for features, mean in zip(feature_sets, means, strict=True)
    ]
    trace_of_sum = sum(float(np.square(root).sum()) for root in roots)
    trace_of_root = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return float(np.square(means[0] - means[1]).sum()) + max(0.0, trace_of_sum - 2.0 * trace_of_root)


def _validated(features: Features) -> NDArray[np.float64]:
    """Return features as float64, or raise GeometryMismatch for a wrong shape or values that are not finite."""
    if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
        raise GeometryMismatch(f"features of shape {features.shape}: needs (images, channels), at least two images")
    if not np.isfinite(features).all():
        raise GeometryMismatch("features hold NaN or infinity: was the image finite?")
    return features.astype(np.float64)

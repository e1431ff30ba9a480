"""The Frechet distance between two clouds of features, as in the Frechet inception distance.

Dowson & Landau, J. Multivariate Anal. 1982, for two normal distributions; Heusel et al., NeurIPS 2017, for the features
of images. A number says nothing without the network that made the features, and depends on how many there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch

Features = NDArray[np.floating]


def frechet_distance(first: Features, second: Features) -> float:
    """Squared distance |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the normal distributions fitted to two clouds.

    first, second: (n, C) features, one row an image; n may differ, and may be smaller than C. Means and covariances
    (over n - 1) are those of the rows; the unit is that of the features, squared. 0 for two equal clouds, symmetric.
    Raises GeometryMismatch for other shapes, fewer than two rows, or values that are not finite.
    """
    clouds = [_checked(cloud) for cloud in (first, second)]
    if clouds[0].shape[1] != clouds[1].shape[1]:
        raise GeometryMismatch(
            f"features of {clouds[0].shape[1]} and of {clouds[1].shape[1]} channels: take one network"
        )
    means = [cloud.mean(axis=0) for cloud in clouds]
    # C = R'R with R of a QR factorisation, so tr (C1 C2)^(1/2) is the sum of the singular values of R1 R2'. No matrix
    # root is taken: one of a covariance without full rank loses half of its digits.
    roots = [
        np.linalg.qr(cloud - mean, mode="r") / np.sqrt(len(cloud) - 1)
        for cloud, mean in zip(clouds, means, strict=True)
    ]
    spread = sum(float(np.square(root).sum()) for root in roots)
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return float(np.square(means[0] - means[1]).sum()) + max(0.0, spread - 2.0 * shared)


def _checked(cloud: Features) -> NDArray[np.float64]:
    if cloud.ndim != 2 or len(cloud) < 2 or not cloud.shape[1]:
        raise GeometryMismatch(f"features of shape {cloud.shape}: needs (images, channels), at least two images")
    if not np.isfinite(cloud).all():
        raise GeometryMismatch("features hold NaN or infinity: was the image finite?")
    return cloud.astype(np.float64)

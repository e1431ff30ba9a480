"""Texture of a region by its grey-level co-occurrence matrix (GLCM), computed by scikit-image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lowdose.errors import GeometryMismatch
from lowdose.hounsfield import SOFT_TISSUE, Window

ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
DISTANCE_PX = 1
LEVELS = 256


class CoOccurrence(NamedTuple):
    """Texture of a region.

    Attributes
    ----------
    correlation : float
        Correlation of the grey values of neighbouring pixels, -1 to 1; 1 for a region of one value.
    homogeneity : float
        Mean of 1 / (1 + d^2) over pairs of neighbours whose grey values differ by d; 1 for a region of one value.
    energy : float
        Root of the sum of the squared shares of all pairs of grey values; 1 for a region of one value.
    """

    correlation: float
    homogeneity: float
    energy: float


def co_occurrence(region: ArrayLike, window: Window = SOFT_TISSUE) -> CoOccurrence:
    """Compute three features of the co-occurrence matrix of a region, as of a lesion.

    HU are mapped to 256 grey values of a display window. Pairs are of pixels next to each other, both ways, at 0, 45,
    90 and 135 degrees, and the features are means over these angles. The papers that compare them by their difference
    from full dose state none of these choices.

    Parameters
    ----------
    region : array_like, shape (y, x)
        HU; at least 2 x 2 pixels.
    window : Window
        Display window in HU.

    Returns
    -------
    CoOccurrence
        Correlation, homogeneity and energy.

    Raises
    ------
    GeometryMismatch
        If the region is smaller.

    References
    ----------
    .. [1] Haralick et al., "Textural features for image classification", IEEE Trans. Syst. Man Cybern. 1973.

    Examples
    --------
    Columns of two alternating grey values:

    >>> import numpy as np
    >>> from lowdose.metrics.glcm_texture import co_occurrence
    >>> found = co_occurrence(np.tile([-160.0, 240.0], (8, 4)))
    >>> round(found.correlation, 3), round(found.homogeneity, 3), round(found.energy, 3)
    (-0.5, 0.25, 0.707)
    """
    from skimage.feature import graycomatrix, graycoprops

    hu = np.asarray(region, np.float64)
    if hu.ndim != 2 or min(hu.shape) < 2:
        raise GeometryMismatch(f"region of shape {hu.shape}: texture needs at least 2 x 2 pixels")
    grey = np.round(window.apply(hu) * (LEVELS - 1)).astype(np.uint8)
    matrix = graycomatrix(grey, [DISTANCE_PX], ANGLES, LEVELS, symmetric=True, normed=True)  # type: ignore[no-untyped-call]
    means = (float(graycoprops(matrix, name).mean()) for name in CoOccurrence._fields)  # type: ignore[no-untyped-call]
    return CoOccurrence(*means)

"""Size of the body in a slice, as far as it attenuates X-rays."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter, label

from lowdose.hounsfield import BODY_HU
from lowdose.image import HU, Mask
from lowdose.metrics.checks import check_slice

SMOOTH_MM = 2.0
MOST_CUT_MM = 30.0
"""Length of the image's edge that the body may touch; a body that touches more is cut off."""


def water_equivalent_diameter(hu: HU, valid: Mask, pixel_mm: float) -> float | None:
    """Compute the water-equivalent diameter of the body in one slice.

    It is the diameter of a disc of water that attenuates as much as the body: 2 sqrt(A / pi) with
    A = sum(HU / 1000 + 1) over the area of the body [1]_. The body is the largest connected region above -300 HU with
    its holes filled.

    Parameters
    ----------
    hu : ndarray of float32, shape (y, x)
        Slice in HU.
    valid : ndarray of bool, shape (y, x)
        Pixels that may be used, without padding.
    pixel_mm : float
        Pixel size in mm.

    Returns
    -------
    float or None
        Diameter in mm; None where the slice shows no body, or one that the edge of the image cuts off.

    Raises
    ------
    GeometryMismatch
        If ``hu`` is not two-dimensional or ``valid`` has another shape.
    InvalidSetting
        If ``pixel_mm`` is not positive.

    References
    ----------
    .. [1] AAPM Report 220, "Use of Water Equivalent Diameter for Calculating Patient Size and Size-Specific Dose
       Estimates (SSDE) in CT", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import water_equivalent_diameter
    >>> y, x = np.mgrid[:256, :256] - 127.5
    >>> water = np.where(np.hypot(y, x) * 1.0 < 100, 0.0, -1000.0).astype(np.float32)
    >>> round(water_equivalent_diameter(water, np.ones(water.shape, bool), 1.0))
    198
    """
    check_slice(hu, valid, pixel_mm, "a body's size")
    image = np.where(valid, hu, np.float32(-1000.0))
    regions, count = label(gaussian_filter(image, SMOOTH_MM / pixel_mm) > BODY_HU)
    if count == 0:
        return None
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    body = binary_fill_holes(regions == int(sizes.argmax()))
    cut = sum(int(edge.sum()) for edge in (body[0], body[-1], body[:, 0], body[:, -1]))
    if cut * pixel_mm > MOST_CUT_MM:
        return None
    area = float(np.maximum(image[body] / 1000.0 + 1.0, 0.0).sum(dtype=np.float64)) * pixel_mm**2
    return float(2.0 * np.sqrt(area / np.pi))

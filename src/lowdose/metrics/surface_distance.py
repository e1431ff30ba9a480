"""95th percentile of the Hausdorff distance of two segmentations (HD95), computed by MONAI, an optional package."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting

PERCENTILE = 95


def unavailable_reason() -> str:
    """Say why distances cannot be computed; '' if they can. MONAI itself takes seconds to import, and is not."""
    return "" if find_spec("monai") else "MONAI is not installed; pip install 'lowdose[organs]'"


def hausdorff_95(mask: NDArray[np.bool_], reference: NDArray[np.bool_], spacing: Sequence[float]) -> float:
    """Compute the 95th percentile of the Hausdorff distance of the surfaces of two masks.

    The surface of a mask are its voxels with a face neighbour outside of it. The distances from each of them to the
    nearest surface voxel of the other mask are taken both ways; of each way the 95th percentile (interpolated
    linearly), and of the two the larger one. Outside of the array is outside of the mask: where an organ leaves the
    scanned range, the cut through it is surface, and all of its voxels count. In a volume of two slices every voxel is
    surface, so that the percentile is over areas and not over contours; give a single slice with two axes.

    Parameters
    ----------
    mask, reference : ndarray of bool, shape (y, x) or (z, y, x)
        Evaluated and reference mask. The result is the same when they are exchanged.
    spacing : sequence of float, mm
        Distance of the voxels along each axis of the masks.

    Returns
    -------
    float, mm
        0 for identical masks; NaN if either mask is empty.

    Raises
    ------
    GeometryMismatch
        If the shapes differ, or ``spacing`` is not one positive number for each axis.
    InvalidSetting
        If MONAI is not installed.

    References
    ----------
    .. [1] Huttenlocher et al., "Comparing images using the Hausdorff distance", IEEE Trans. Pattern Anal. Mach.
       Intell. 1993. Percentile, surface and distances as in ``monai.metrics.compute_hausdorff_distance``.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import hausdorff_95
    >>> square, moved = np.zeros((2, 32, 32), bool)
    >>> square[8:16, 8:16] = moved[8:16, 11:19] = True
    >>> round(hausdorff_95(square, moved, spacing=(0.7, 0.5)), 3)
    1.5
    """
    if mask.shape != reference.shape:
        raise GeometryMismatch(f"masks of shape {mask.shape} and {reference.shape} cannot be compared")
    if len(spacing) != mask.ndim or not all(0 < step < np.inf for step in spacing):
        raise GeometryMismatch(
            f"spacing {tuple(spacing)} mm: masks of shape {mask.shape} need {mask.ndim} positive numbers"
        )
    if reason := unavailable_reason():
        raise InvalidSetting(f"HD95 cannot be computed: {reason}")
    if not (mask.any() and reference.any()):
        return np.nan
    monai: Any = import_module("monai.metrics")
    steps = [float(step) for step in spacing]
    batch = mask[None, None], reference[None, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.6 warns of its own call of a deprecated argument
        found = monai.compute_hausdorff_distance(*batch, include_background=True, percentile=PERCENTILE, spacing=steps)
    return float(found)

"""Regions of a slice in which noise is compared: soft tissue and the body."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion, binary_fill_holes, binary_opening, gaussian_filter, label

from lowdose.metrics.noise_estimate import soft_tissue


def regions(full: Any, pixel_mm: float) -> tuple[Any, Any]:
    """Return (y, x) masks of soft tissue and of the filled body.

    Soft tissue is that of ``noise_level`` without 3 pixels at its edge.
    """
    soft = binary_erosion(soft_tissue(full, pixel_mm)[1], iterations=3)
    parts, count = label(binary_opening(gaussian_filter(full, 2) > -500, iterations=6))
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1 : count + 1]))
    return soft, binary_fill_holes(parts == largest)

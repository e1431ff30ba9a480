"""What one training step sees."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """low and full: (B, 1, H, W) float32 in HU, on one grid."""

    low: Tensor
    full: Tensor


class LabelledBatch(NamedTuple):
    """hu: (B, 1, H, W) float32. classes: (B, h, w) int64 of ``organs.CLASSES``, or UNKNOWN. annotated: (B, classes)
    bool: which classes were looked for; a pixel that is UNKNOWN is of one of the others.
    """

    hu: Tensor
    classes: Tensor
    annotated: Tensor


UNKNOWN = 255

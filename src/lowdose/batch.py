"""What one training step sees."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """low and full: (B, 1, H, W) float32 in HU, on one grid."""

    low: Tensor
    full: Tensor

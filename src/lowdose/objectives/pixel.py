"""Objectives that compare pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from lowdose.objectives.base import Objective


class MSE(Objective):
    """Mean squared error over all pixels of the batch."""

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        return {"mse": functional.mse_loss(pred, target)}

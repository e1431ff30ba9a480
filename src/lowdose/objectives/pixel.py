"""Objectives that compare images pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from lowdose.objectives.base import Objective


class MSE(Objective):
    """Mean squared error over all pixels of the batch.

    In the unit of objectives 3000 HU are 1, so a root mean square error of 30 HU is an MSE of 1e-4.

    References
    ----------
    Chen et al., "Low-dose CT with a residual encoder-decoder convolutional neural network" (RED-CNN), IEEE
    Transactions on Medical Imaging 36(12), 2017: trained with this loss.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import MSE
    >>> float(MSE()(torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)))
    0.25
    """

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the mean squared error as the term 'mse'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'mse'.
        """
        return {"mse": functional.mse_loss(pred, target)}


class L1(Objective):
    """Mean absolute error over all pixels of the batch.

    In the unit of objectives 3000 HU are 1, so a mean absolute error of 30 HU is 0.01.

    References
    ----------
    Zhao et al., "Loss functions for image restoration with neural networks", IEEE Transactions on Computational Imaging
    3(1), 2017: compares it with squared error and with structural similarity.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import L1
    >>> float(L1()(torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)))
    0.5
    """

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the mean absolute error as the term 'l1'.

        Parameters
        ----------
        pred : Tensor
            Prediction, (B, 1, H, W), with [-1000, 2000] HU as [0, 1].
        target : Tensor
            Target, of the same shape and unit.

        Returns
        -------
        Mapping[str, Tensor]
            The scalar 'l1'.
        """
        return {"l1": functional.l1_loss(pred, target)}

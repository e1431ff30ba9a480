"""Least-squares adversarial loss (Mao et al., ICCV 2017)."""

from __future__ import annotations

from torch import Tensor


def least_squares(scores: Tensor, target: Tensor | float) -> Tensor:
    """Return the mean squared distance of scores from their target, for each sample.

    Parameters
    ----------
    scores : Tensor
        Scores of a discriminator, (B, ...).
    target : Tensor or float
        1 for real and 0 for generated images, or such a value for each pixel.

    Returns
    -------
    Tensor
        (B,).

    References
    ----------
    X. Mao, Q. Li, H. Xie, R. Y. K. Lau, Z. Wang, S. P. Smolley, Least Squares Generative Adversarial Networks, ICCV
    2017.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.least_squares import least_squares
    >>> least_squares(torch.tensor([[1.0, 3.0], [0.0, 0.0]]), 1.0).tolist()
    [2.0, 1.0]
    """
    return (scores - target).square().flatten(1).mean(dim=1)

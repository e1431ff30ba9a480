"""Divergence of a latent distribution from white noise."""

from __future__ import annotations

from torch import Tensor


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of independent normal variables from the standard normal distribution.

    It is the mean over the batch of the sum over all variables of (mean^2 + variance - 1 - log variance) / 2.

    Parameters
    ----------
    mean, log_variance : Tensor
        (B, ...).

    Returns
    -------
    Tensor
        Scalar, at least 0, and 0 for mean 0 and variance 1 only.

    References
    ----------
    D. P. Kingma, M. Welling, Auto-Encoding Variational Bayes, ICLR 2014, appendix B.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.latent_normal import kl_to_standard_normal
    >>> zero = torch.zeros(2, 3)
    >>> float(kl_to_standard_normal(zero, zero)), float(kl_to_standard_normal(zero + 1, zero))
    (0.0, 1.5)
    """
    each = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
    return each.flatten(1).sum(dim=1).mean()

"""Gradient penalty of Wasserstein GANs (Gulrajani et al., NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lowdose.sample_draws import uniform_draws


def mixing_weights(number: Tensor) -> Tensor:
    """Return for each sample by its number the share of the real image at which the gradient is penalised.

    Parameters
    ----------
    number : Tensor
        Number of each sample in the training, (B,) int64.

    Returns
    -------
    Tensor
        (B, 1, 1, 1) float32, in [0, 1], see ``sample_draws.uniform_draws``.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.wasserstein import mixing_weights
    >>> mixing_weights(torch.tensor([0, 1, 2])).shape
    torch.Size([3, 1, 1, 1])
    """
    return uniform_draws(number, 1)[..., None, None]


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Return the mean squared distance of the norm of the critic's gradient from 1, between real and fake images.

    The norm is that of each sample's gradient over all of its pixels, as published. Several releases for low-dose CT
    take it over one axis of the image only, which penalises something else.

    Parameters
    ----------
    critic : callable
        Maps images (B, 1, H, W) to scores (B, 1); a score must depend on its own image only.
    real, fake : Tensor
        Images, (B, 1, H, W).
    share : Tensor
        Share of the real image at which the gradient is taken, (B, 1, 1, 1), see ``mixing_weights``.

    Returns
    -------
    Tensor
        Scalar, at least 0.

    References
    ----------
    I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, Improved Training of Wasserstein GANs, NeurIPS 2017.

    Examples
    --------
    The gradient of a linear critic is its weights, whose norm is 3 here:

    >>> import torch
    >>> from lowdose.objectives import gradient_penalty
    >>> images = torch.rand(2, 1, 1, 9)
    >>> float(gradient_penalty(lambda x: x.sum(dim=(1, 2, 3)), images, 0.5 * images, torch.rand(2, 1, 1, 1)))
    4.0
    """
    between = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty

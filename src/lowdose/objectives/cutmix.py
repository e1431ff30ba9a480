"""CutMix of real and generated images, and its consistency (Yun et al., ICCV 2019; Schönfeld et al., CVPR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.sample_draws import uniform_draws

DRAWS = 4
"""Random numbers that a sample needs: area and centre of its box, and whether it is mixed at all."""


def cutmix_masks(draws: Tensor, height: int, width: int) -> Tensor:
    """Return masks with a box of 0 in 1, whose area before it is cut off at the border is uniform in [0, 1).

    Parameters
    ----------
    draws : Tensor
        (B, 3) from [0, 1): share of the area, and centre of the box along y and x.
    height, width : int
        Size of the images in pixels.

    Returns
    -------
    Tensor
        (B, 1, height, width) float32.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.cutmix import cutmix_masks
    >>> cutmix_masks(torch.tensor([[0.25, 0.5, 0.25]]), 4, 4).int().squeeze().tolist()
    [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    """
    area, *centre = draws[:, :, None].unbind(1)
    inside = []
    for middle, size in zip(centre, (height, width), strict=True):
        place = torch.arange(size, device=draws.device) + 0.5
        inside.append((place - middle * size).abs() < 0.5 * size * area.sqrt())
    return 1.0 - (inside[0][:, None, :, None] & inside[1][:, None, None, :]).float()


def mix(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Return ``real`` where the mask is 1, and ``fake`` where it is 0; all (B, 1, H, W)."""
    return mask * real + (1 - mask) * fake


def consistency(mixed: Tensor, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Return how far scores of the pixels of mixed images are from the mixture of the scores of both images.

    Parameters
    ----------
    mixed, real, fake : Tensor
        Scores of the pixels of mixed, real and generated images, (B, 1, H, W).
    mask : Tensor
        What the images were mixed by, (B, 1, H, W).

    Returns
    -------
    Tensor
        Mean squared difference of each sample, (B,).

    Examples
    --------
    A discriminator that judges every pixel by itself is consistent:

    >>> import torch
    >>> from lowdose.objectives.cutmix import consistency, mix
    >>> real, fake = torch.rand(2, 2, 1, 8, 8)
    >>> mask = (torch.rand(2, 1, 8, 8) > 0.5).float()
    >>> consistency(mix(real, fake, mask).exp(), real.exp(), fake.exp(), mask).tolist()
    [0.0, 0.0]
    """
    return functional.mse_loss(mixed, mix(real, fake, mask), reduction="none").mean(dim=(1, 2, 3))


def ramp(step: int, length: int, full: float) -> float:
    """Return the share of the samples that are mixed at ``step``, which rises linearly to ``full`` over ``length``."""
    return full * min(1.0, step / length) if length else full


def draws_of_domain(number: Tensor, domain: int, domains: int) -> Tensor:
    """Return the ``DRAWS`` numbers of each sample for one of several discriminators, (B, DRAWS)."""
    return uniform_draws(number, DRAWS * domains)[:, DRAWS * domain : DRAWS * (domain + 1)]

"""Invariance of features to the realisation of noise, but not to its strength and texture."""

from __future__ import annotations

import torch
from torch import Tensor


def noise_realisation_ratio(smooth: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return how much features depend on where noise lies, relative to how much they depend on noise at all.

    The ratio is |z(s + n1) - z(s + n2)|^2 / mean |z(s + n) - z(s)|^2, with means over the batch and both realisations
    n1, n2 of the same noise. Features that know nothing but the texture of noise have a ratio of 0; features for which
    two realisations differ as pixels do have 2. Features in which smooth and noisy images are the same have no
    ratio; it is 0 then, without a gradient.

    Parameters
    ----------
    smooth : Tensor
        Features of images without noise, (B, ...).
    first, second : Tensor
        Features of the same images with two independent realisations of noise, of the same shape.

    Returns
    -------
    Tensor
        The ratio, a scalar.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import noise_realisation_ratio
    >>> level = torch.ones(2, 4)  # features that say how strong the noise is
    >>> float(noise_realisation_ratio(0 * level, level, level))
    0.0
    >>> _ = torch.manual_seed(0)
    >>> first, second = torch.randn(2, 2, 500)  # features that copy the noise
    >>> round(float(noise_realisation_ratio(torch.zeros(2, 500), first, second)), 1)
    2.0
    """
    change = 0.5 * ((first - smooth).square().mean() + (second - smooth).square().mean())
    return (first - second).square().mean() / change.clamp(min=torch.finfo(change.dtype).tiny)

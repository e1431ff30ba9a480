"""Comparison of an image with a neighbouring slice where both show the same (Noise2Sim, Niu et al., IEEE TMI 2022)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LIMIT_HU, WINDOW = 30.0, 7
"""Largest difference of local means of two slices that show the same at a pixel, and the side of the local window."""


def similar_pixels(one: Tensor, other: Tensor, limit: float = LIMIT_HU) -> Tensor:
    """Return where the means of two slices over 7 x 7 pixels are at most ``limit`` apart.

    Images that are the same number for number have no such pixel: there is one slice, in the place of a missing
    neighbour.

    Parameters
    ----------
    one, other : Tensor
        Slices, (B, 1, H, W), HU.
    limit : float, HU
        Largest difference of the means.

    Returns
    -------
    Tensor
        (B, 1, H, W) bool.

    References
    ----------
    C. Niu, M. Li, F. Fan, W. Wu, X. Guo, Q. Lyu, G. Wang, Noise Suppression With Similarity-Based Self-Supervised Deep
    Learning, IEEE TMI 2022.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.similar_slices import similar_pixels
    >>> one = torch.zeros(1, 1, 9, 18)
    >>> other = one + 10.0
    >>> other[..., 9:] = 50.0
    >>> similar_pixels(one, other)[0, 0, 4].int().tolist()
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    >>> bool(similar_pixels(one, one).any())
    False
    """
    means = functional.avg_pool2d((one - other).float(), WINDOW, 1, WINDOW // 2, count_include_pad=False)
    same = (one == other).flatten(1).all(1).view(-1, 1, 1, 1)
    return (means.abs() <= limit) & ~same


def masked_absolute_error(pred: Tensor, target: Tensor, kept: Tensor) -> Tensor:
    """Return the sum of absolute errors of the pixels that are kept, over the number of all pixels.

    Pixels that are not kept have no gradient. If the noise of the target is independent of what ``pred`` was made of,
    and has a symmetric distribution, the least error has the image without that noise; noise that both share is not
    told from the image, and stays.

    Parameters
    ----------
    pred, target : Tensor
        Images, (B, 1, H, W), in one unit.
    kept : Tensor
        Which pixels count, of the same shape, bool.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.similar_slices import masked_absolute_error
    >>> pred, target = torch.tensor([[[[1.0, 2.0]]]]), torch.zeros(1, 1, 1, 2)
    >>> float(masked_absolute_error(pred, target, torch.tensor([[[[True, False]]]])))
    0.5
    """
    return torch.where(kept, (pred - target).abs(), 0.0).mean()

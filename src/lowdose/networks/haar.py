"""Haar wavelet transform of one level, orthonormal: four images of half the side hold the image, noise and all."""

from __future__ import annotations

import torch
from torch import Tensor


def haar(images: Tensor) -> Tensor:
    """Return the sub-bands of images: (..., H, W) -> (..., 4, H / 2, W / 2), in the order LL, LH, HL, HH.

    LL is the mean of 2 x 2 pixels times two; LH differs along rows, HL along columns, HH along both. White noise has
    the same standard deviation in every sub-band as in the image. Raises ValueError for odd sides.
    """
    if images.shape[-1] % 2 or images.shape[-2] % 2:
        raise ValueError(f"Haar wavelets need even sides, got {tuple(images.shape)}")
    a, b, c, d = (images[..., row::2, column::2] for row in (0, 1) for column in (0, 1))
    return torch.stack([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], dim=-3) / 2


def inverse_haar(bands: Tensor) -> Tensor:
    """Return the images of which ``haar`` makes these sub-bands: (..., 4, h, w) -> (..., 2 h, 2 w)."""
    low, across, down, both = bands.unbind(-3)
    rows = [
        torch.stack([low + across + side * (down + both), low - across + side * (down - both)], dim=-1).flatten(-2)
        for side in (1, -1)
    ]
    return torch.stack(rows, dim=-2).flatten(-3, -2) / 2

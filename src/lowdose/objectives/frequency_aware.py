"""Frequency-aware multi-scale loss of WIA-LD2ND (Zhao et al., MICCAI 2024), after its abstract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lowdose.networks.haar import haar


def frequency_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Mapping[str, Tensor]:
    """Return how far feature maps are apart at low and at high frequencies: mean squares over scales and images.

    Each map is split by Haar wavelets into one sub-band of low frequencies and three of high ones, which are averaged
    apart, so that either counts the same although there are three times as many high ones.

    Parameters
    ----------
    found, wanted : sequence of Tensor
        Maps of several scales, (B, C, h, w) with even sides.

    Returns
    -------
    Mapping[str, Tensor]
        The scalars 'low_frequency' and 'high_frequency'; 0 where the maps are equal.

    References
    ----------
    H. Zhao et al., WIA-LD2ND: Wavelet-based Image Alignment for Self-supervised Low-Dose CT Denoising, MICCAI 2024.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.frequency_aware import frequency_distance
    >>> even = torch.ones(1, 1, 4, 4)
    >>> {name: float(value) for name, value in frequency_distance([even], [0 * even]).items()}
    {'low_frequency': 4.0, 'high_frequency': 0.0}
    """
    bands = [haar((one - other).float()).square() for one, other in zip(found, wanted, strict=True)]
    return {
        "low_frequency": torch.stack([band[..., :1, :, :].mean() for band in bands]).mean(),
        "high_frequency": torch.stack([band[..., 1:, :, :].mean() for band in bands]).mean(),
    }

"""Conversion of CT slices to the input of networks trained on photographs: window, three channels, normalisation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowdose.hounsfield import OBJECTIVE, Window

WHOLE = Window(OBJECTIVE.low, OBJECTIVE.high)
"""Whole HU range of training objectives. A narrower window gives natural-image networks more soft-tissue contrast."""


class ChannelStatistics(NamedTuple):
    """Mean and standard deviation of each channel with which inputs in [0, 1] of a network are normalised.

    Attributes
    ----------
    mean, std : three float
        Of the channels red, green and blue.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = ChannelStatistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Statistics of ImageNet, for torchvision's networks, ResNet and DINOv2.

Those of LPIPS are the same: its shift (-.030, -.088, -.188) and scale (.458, .448, .450) apply to images in [-1, 1],
and (2 x - 1 - shift) / scale = (x - (1 + shift) / 2) / (scale / 2).
"""

MEANS_OF_255 = ChannelStatistics((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
"""ImageNet means subtracted from the image times 255, without division by the standard deviation.

WGAN-VGG (Yang et al. 2018) and LEDA's perceptual loss use it. Features are some 60 times larger than with ``IMAGENET``;
a loss that uses ``IMAGENET`` instead needs a weight that is larger by the same factor.
"""

OPENAI_CLIP = ChannelStatistics((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Statistics of OpenAI's CLIP models."""


class WindowedRGB(nn.Module):
    """Conversion of images (B, 1, H, W) in the unit of ``hounsfield.OBJECTIVE`` to normalised RGB (B, 3, H, W).

    The window is mapped to [0, 1] and clipped, so pixels outside it have no gradient; those exactly at its limits have
    one. statistics: mean and SD of each channel for the normalisation; window: range of HU.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: ChannelStatistics, window: Window = WHOLE) -> None:
        super().__init__()
        self.window = window
        self.low = (window.low - OBJECTIVE.zero) / (OBJECTIVE.one - OBJECTIVE.zero)
        self.width = window.width / (OBJECTIVE.one - OBJECTIVE.zero)
        # Not persistent: these are settings of the features, not weights.
        self.register_buffer("mean", torch.tensor(statistics.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return normalised RGB images (B, 3, H, W)."""
        grey = ((image - self.low) / self.width).clamp(0.0, 1.0)
        return (grey - self.mean) / self.std

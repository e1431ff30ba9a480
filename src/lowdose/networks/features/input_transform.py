"""How a network trained on photographs sees a slice: through a window, three times, normalised as it was trained."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowdose.hounsfield import OBJECTIVE, Window

WHOLE = Window(OBJECTIVE.low, OBJECTIVE.high)
"""Everything an objective sees. A narrower window shows a natural-image network more of the soft tissue."""


class ChannelStatistics(NamedTuple):
    """Mean and standard deviation per channel that a network's inputs in [0, 1] were normalised with."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = ChannelStatistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""torchvision's networks, ResNet and DINOv2. Also LPIPS: its shift (-.030, -.088, -.188) and scale (.458, .448, .450)
on images in [-1, 1] are these numbers, since (2 x - 1 - shift) / scale = (x - (1 + shift) / 2) / (scale / 2)."""

MEANS_OF_255 = ChannelStatistics((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
"""The image times 255 less the ImageNet means, without division: WGAN-VGG (Yang et al. 2018) and LEDA's perceptual
loss. Its features are some 60 times larger than with ``IMAGENET``, and so must be the weight of a loss without it."""

OPENAI_CLIP = ChannelStatistics((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class WindowedRGB(nn.Module):
    """(B, 1, H, W) in the unit of ``OBJECTIVE`` -> (B, 3, H, W): the window to [0, 1], clipped, then normalised.

    Being clipped, pixels outside the window have no gradient; those on its ends still have one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, normal: ChannelStatistics, window: Window = WHOLE) -> None:
        super().__init__()
        self.window = window
        self.low = (window.low - OBJECTIVE.zero) / (OBJECTIVE.one - OBJECTIVE.zero)
        self.width = window.width / (OBJECTIVE.one - OBJECTIVE.zero)
        # Not persistent: they are settings of the family, no weights.
        self.register_buffer("mean", torch.tensor(normal.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(normal.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        grey = ((image - self.low) / self.width).clamp(0.0, 1.0)
        return (grey - self.mean) / self.std

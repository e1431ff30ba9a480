"""Encoder of WIA-LD2ND (Zhao et al., MICCAI 2024): feature maps of three scales, which are compared by frequency."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.discriminator import SLOPE

MULTIPLE = 8
"""Sides of the images are multiples of this, so that the coarsest map has even ones."""


class FrequencyEncoder(nn.Module):
    """Three stages of two 3x3 convolutions: (B, 1, H, W) -> maps at full, half and quarter resolution.

    Channels of each map have mean 0 and variance 1 over the image, so that no map can become constant.

    Parameters
    ----------
    width : int
        Channels of the first map; the others have 4 and 8 times as many: 64, 256 and 512 in the authors' release.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stages = nn.ModuleList([
            nn.Sequential(
                nn.Conv2d(a, b, 3, 1 if a == 1 else 2, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(b, b, 3, 1, 1)
            )
            for a, b in pairwise([1, width, 4 * width, 8 * width])
        ])  # fmt: skip

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, fine to coarse."""
        maps, h = [], images
        for stage in self.stages:
            h = functional.instance_norm(stage(h))
            maps.append(h)
            h = functional.leaky_relu(h, SLOPE)
        return maps

"""Three-dimensional convolutions of a few neighbouring slices, written as two-dimensional ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SliceConvolution(nn.Conv2d):
    """Convolution without bias over 3x3 pixels of ``depth`` neighbouring slices, valid in all directions.

    (B, D, channels, H, W) -> (B, D - depth + 1, filters, H - 2, W - 2). Windows of ``depth`` slices become channels,
    ordered by slice, so that the kernel is (filters, depth * channels, 3, 3): ``load_weights_of_fewer_slices`` and
    inference engines then need no rule for three dimensions. ``torch.nn.Conv3d`` gives the same; in PyTorch 2.13 its
    gradient of three slices in bfloat16 corrupts memory on CPUs.

    Parameters
    ----------
    channels, filters : int
        Channels of the input and of the output.
    depth : int
        Slices that the kernel covers.
    """

    def __init__(self, channels: int, filters: int, depth: int) -> None:
        super().__init__(depth * channels, filters, 3, bias=False)
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature maps of every window of slices."""
        count = x.shape[1] - self.depth + 1
        windows = torch.cat([x[:, start : start + count] for start in range(self.depth)], dim=2)
        maps = super().forward(windows.flatten(0, 1))
        return maps.reshape(x.shape[0], count, *maps.shape[1:])

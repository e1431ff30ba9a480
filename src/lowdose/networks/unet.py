"""A small residual U-Net: predicts the noise and subtracts it. The project's own CPU-sized baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.network_spec import register_network


def _pair(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.ReLU(inplace=True),
    )


@register_network("unet")
class UNet(nn.Module):
    """(B, slices, H, W) -> (B, 1, H, W), the middle one of an odd number of neighbouring slices without its noise.

    Sides are multiples of 2**(levels - 1). 1.95 M parameters at width 32, four levels. The last convolution starts at
    zero, so that an untrained network returns its input: HU are right from the first step and only noise has to be
    learned. Raises ValueError for an even number of slices: it has no middle.
    """

    def __init__(self, width: int = 32, levels: int = 4, slices: int = 1) -> None:
        super().__init__()
        if slices < 1 or slices % 2 == 0:
            raise ValueError(f"slices={slices}: must be odd, the slice itself and as many on each side of it")
        self.slices = slices
        self.multiple = 2 ** (levels - 1)
        self.smallest = 2 * self.multiple
        widths = [width * 2**level for level in range(levels)]
        self.down = nn.ModuleList([_pair(a, b) for a, b in zip([slices, *widths], widths, strict=False)])
        self.up = nn.ModuleList([_pair(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)])
        self.out = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            raise ValueError(f"this U-Net needs sides that are multiples of {self.multiple}, got {tuple(x.shape)}")
        h = x
        skips: list[Tensor] = []
        for level, pair in enumerate(self.down):
            h = pair(h if level == 0 else functional.max_pool2d(h, 2))
            skips.append(h)
        skips.pop()
        for pair in self.up:
            h = functional.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=False)
            h = pair(torch.cat([h, skips.pop()], dim=1))
        noise: Tensor = self.out(h)
        middle = self.slices // 2
        return x[:, middle : middle + 1] - noise

"""A small residual U-Net at half resolution, for CPUs: pixels are folded into channels before anything is computed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.network_spec import register_network


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the second starts at zero, so that a deep network starts shallow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(functional.relu(self.first(x)))
        return result


@register_network("shuffle_unet")
class ShuffleUNet(nn.Module):
    """(B, 1, H, W) -> the same; sides multiples of 8. 1,479,796 parameters at width 48.

    Squares of 2x2 pixels become four channels (Shi et al., CVPR 2016, backwards; as FFDNet does, Zhang et al., TIP
    2018), so the widest maps have a quarter of the image's pixels. Three levels of residual blocks (He et al., CVPR
    2016), joined by strided convolutions and sums. It predicts the noise, zero at first.
    """

    multiple = 8
    smallest = 16

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        a, b, c = width, 2 * width, 3 * width
        self.stem = nn.Conv2d(4, a, 3, padding=1)
        self.down = nn.ModuleList([nn.Sequential(Block(a)), nn.Sequential(Block(b), Block(b))])
        self.deepest = nn.Sequential(Block(c), Block(c))
        self.narrow = nn.ModuleList([nn.Conv2d(a, b, 2, stride=2), nn.Conv2d(b, c, 2, stride=2)])
        self.widen = nn.ModuleList([nn.ConvTranspose2d(c, b, 2, stride=2), nn.ConvTranspose2d(b, a, 2, stride=2)])
        self.up = nn.ModuleList([nn.Sequential(Block(b)), nn.Sequential(Block(a))])
        self.out = nn.Conv2d(a, 4, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            raise ValueError(f"this U-Net needs sides that are multiples of {self.multiple}, got {tuple(x.shape)}")
        h = self.stem(functional.pixel_unshuffle(x, 2))
        skips: list[Tensor] = []
        for blocks, narrow in zip(self.down, self.narrow, strict=True):
            h = blocks(h)
            skips.append(h)
            h = narrow(h)
        h = self.deepest(h)
        for widen, blocks in zip(self.widen, self.up, strict=True):
            h = blocks(widen(h) + skips.pop())
        noise: Tensor = functional.pixel_shuffle(self.out(torch.relu(h)), 2)
        return x - noise

"""Backbone of the detector: a residual network of three stages with a feature pyramid."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

STRIDES = (4, 8, 16)
"""Pixels of the image in a pixel of each map of the pyramid."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, (B, a, H, W) -> (B, b, H / stride, W / stride).

    In eval mode the normalisation over the batch is fixed, so that a feature depends on what is near it alone. With
    none, or over the channels of a pixel, training took four times as many steps.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016.
    """

    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(a, b, 3, stride), _convolution(b, b, 3, 1)
        self.shortcut = _convolution(a, b, 1, stride) if stride > 1 or a != b else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways, rectified."""
        out: Tensor = functional.relu(self.second(functional.relu(self.first(x))) + self.shortcut(x))
        return out


class PyramidBackbone(nn.Module):
    """Images (B, C, H, W) -> maps (B, pyramid, h, w) at strides of 4, 8 and 16 pixels.

    Parameters
    ----------
    channels : int
        Channels C of the images.
    width : int
        Channels of the first stage; they double from stage to stage. 64 as in ResNet-18.
    blocks : int
        Residual blocks of each stage; 2 as in ResNet-18.
    pyramid : int
        Channels of the pyramid; published detectors have 256.

    References
    ----------
    T.-Y. Lin, P. Dollár, R. Girshick, K. He, B. Hariharan, S. Belongie, Feature Pyramid Networks for Object Detection,
    CVPR 2017.
    """

    def __init__(self, channels: int, width: int, blocks: int, pyramid: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(len(STRIDES))]
        self.stem = _convolution(channels, width, 5, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(a, b, 2), *(ResidualBlock(b, b, 1) for _ in range(blocks - 1)))
            for a, b in zip([width, *widths], widths, strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(each, pyramid, 1) for each in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(pyramid, pyramid, 3, padding=1) for _ in widths)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps, fine to coarse."""
        x, maps = functional.relu(self.stem(image)), list[Tensor]()
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        above = self.lateral[-1](maps[-1])
        merged = [above]
        for lateral, each in zip(list(self.lateral)[-2::-1], maps[-2::-1], strict=True):
            above = lateral(each) + functional.interpolate(above, each.shape[-2:], mode="nearest")
            merged.insert(0, above)
        return [smooth(each) for smooth, each in zip(self.smooth, merged, strict=True)]


def _convolution(a: int, b: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, size, stride, size // 2, bias=False), nn.BatchNorm2d(b))

"""ESAU-Net: U-Net of efficient (channel) self-attention blocks (Chen et al., ASCON, MICCAI 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.network_spec import register_network
from lowdose.networks.full_precision import full_precision

SLOPE = 0.01
"""Slope of leaky ReLUs for negative values."""


def _conv3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)


class ChannelAttention(nn.Module):
    """Self-attention between channels: (B, C, H, W) -> (B, C, H, W).

    Queries and keys are normalised over the pixels; each head has a softmax between its C / heads channels with a
    learned temperature. The cost grows linearly with the number of pixels, not quadratically.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, C, H, W)."""
        b, c, h, w = x.shape
        qkv = self.depthwise(self.qkv(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.unbind(1)
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        result: Tensor = self.project((attention @ v).reshape(b, c, h, w))
        return result


class Block(nn.Module):
    """Channel attention and two 3x3 convolutions, each with a residual connection.

    (B, inside, H, W) -> (B, outside, H, W). The number of channels changes in the second convolution, whose residual
    connection is then a 1x1 convolution. middle: channels between the convolutions, ``inside`` if None; only the
    deepest block of ESAU-Net states more.
    """

    def __init__(self, inside: int, outside: int, heads: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or inside
        self.attention = ChannelAttention(inside, heads)
        self.first = _conv3(inside, middle)
        self.second = _conv3(middle, outside)
        same_width = inside == outside
        self.shortcut = nn.Identity() if same_width else nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, outside, H, W)."""
        x = x + self.attention(x)
        h = functional.leaky_relu(self.first(x), SLOPE)
        h = functional.leaky_relu(self.second(h), SLOPE)
        result: Tensor = h + self.shortcut(x)
        return result


@register_network("esau_net")
class ESAUNet(nn.Module):
    """ESAU-Net: U-Net of efficient (channel) self-attention blocks.

    (B, 1, H, W) -> (B, 1, H, W), H and W multiples of 8. No layer has a bias, and there is no skip connection from
    input to output.

    Parameters
    ----------
    width : int
        Channels at full resolution. The default, 32, gives 4,914,230 parameters.

    Attributes
    ----------
    multiple : int
        Both sides of an image must be multiples of this.
    smallest : int
        Pixels a side of the smallest image.

    References
    ----------
    Z. Chen, Q. Gao, Y. Zhang, H. Shan, ASCON: Anatomy-Aware Supervised Contrastive Learning Framework for Low-Dose CT
    Denoising, MICCAI 2023.
    """

    multiple = 8
    smallest = 16

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.stem = _conv3(1, w)
        self.down = nn.ModuleList(
            [Block(w, 2 * w, 1), Block(2 * w, 4 * w, 2), Block(4 * w, 8 * w, 4), Block(8 * w, 8 * w, 8, middle=16 * w)]
        )
        self.up = nn.ModuleList([Block(8 * w, 4 * w, 4), Block(4 * w, 2 * w, 2), Block(2 * w, w, 1)])
        self.head = _conv3(w, w)
        self.out = _conv3(w, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised image (B, 1, H, W). Raises ValueError for sides that are no multiples of 8."""
        if x.shape[-1] % 8 or x.shape[-2] % 8:
            raise ValueError(f"ESAU-Net needs sides that are multiples of 8, got {tuple(x.shape)}")
        h = functional.leaky_relu(self.stem(x), SLOPE)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(h if level == 0 else functional.max_pool2d(h, 2))
            skips.append(h)
        skips.pop()
        for block in self.up:
            h = functional.interpolate(h, scale_factor=2, mode="bilinear", align_corners=True)
            h = block(h + skips.pop())
        h = functional.leaky_relu(self.head(h), SLOPE)
        # Without a skip from the input, this sum holds the HU themselves, which half precision cannot resolve.
        with full_precision(x):
            result: Tensor = self.out(h.to(self.out.weight.dtype))
        return result

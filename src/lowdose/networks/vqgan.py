"""Encoder and decoder of a VQGAN (Esser et al., CVPR 2021) for CT slices, in three sizes.

An encoder halves the image after its levels, from fine to coarse; in the middle, at the resolution of the latents,
stand ResNet and attention blocks; the decoder is its mirror.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.pyramid_quantiser import positions

EPSILON = 1e-6


@dataclass(frozen=True)
class Size:
    """widths: of the levels, fine to coarse. middle: of the blocks in the middle. fold: pixels a side that become
    channels before the first level. halved_last: whether the last level is followed by a halving as the others are.
    blocks: ResNet blocks a level, in the encoder and in the decoder. attentions: blocks in the middle, besides two of
    ResNet. groups: of GroupNorm, or 0 for a normalisation of every pixel by itself.
    placed: whether the encoder is told which positions the coarse layers of the token pyramid take.
    """

    widths: tuple[int, ...]
    middle: int
    fold: int = 1
    halved_last: bool = True
    blocks: tuple[int, int] = (1, 1)
    attentions: int = 2
    groups: int = 32
    placed: bool = False

    @property
    def stride(self) -> int:
        """Pixels a side of one latent position."""
        return int(self.fold * 2 ** (len(self.widths) - (not self.halved_last)))

    def halved(self, level: int) -> bool:
        """Whether a halving follows this level of the encoder."""
        return self.halved_last or level < len(self.widths) - 1


SIZES = {
    "small": Size(widths=(64, 128), middle=144, fold=4, groups=0, placed=True),
    "paper": Size(widths=(64, 64, 128, 128), middle=256),
    "released": Size(widths=(64, 64, 128, 128, 256), middle=256, halved_last=False, blocks=(1, 2), attentions=1),
}
"""'paper': 6 ResNet and 2 attention blocks each way, as LEDA's section 3.1 says without saying where they stand.
'released': what the authors' configuration gives, 7 and 1 in the encoder, 12 and 1 in the decoder, since the resolution
it asks attention at is never reached. 'small': ours, for a CPU; normalising every pixel by itself, a crop of a slice
has the features of the slice, which statistics of a whole image do not allow. And convolutions see all positions alike:
told which of them carry the words of a region, it can gather meaning there and keep detail everywhere else."""


class PixelNorm(nn.Module):
    """Every pixel's channels scaled to a mean square of 1, and by a learned factor a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        length = x.float().square().mean(1, keepdim=True)
        return x * (length + EPSILON).rsqrt().to(x.dtype) * self.weight.to(x.dtype)


class Placing(nn.Module):
    """Adds a learned vector to every position by how many layers of the pyramid have a token there."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.parts = positions(layers)
        self.vectors = nn.Parameter(torch.zeros(layers, channels))

    def forward(self, x: Tensor) -> Tensor:
        added = torch.zeros_like(x[:1])
        for part, vector in zip(self.parts, self.vectors, strict=True):
            added[..., part, part] += vector.to(x.dtype)[:, None, None]
        return x + added


def _norm(channels: int, groups: int) -> nn.Module:
    return nn.GroupNorm(groups, channels, eps=EPSILON) if groups else PixelNorm(channels)


def _conv(inside: int, outside: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, side, padding=side // 2)


class ResNetBlock(nn.Module):
    """Twice normalise, SiLU, 3x3; plus the input, through a 1x1 where the width changes."""

    def __init__(self, inside: int, outside: int, groups: int) -> None:
        super().__init__()
        self.first_norm, self.first = _norm(inside, groups), _conv(inside, outside)
        self.second_norm, self.second = _norm(outside, groups), _conv(outside, outside)
        self.shortcut = nn.Identity() if inside == outside else _conv(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(functional.silu(self.first_norm(x)))
        h = self.second(functional.silu(self.second_norm(h)))
        result: Tensor = self.shortcut(x) + h
        return result


class AttentionBlock(nn.Module):
    """Self-attention of one head between all positions, plus the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(channels, groups)
        self.qkv = _conv(channels, 3 * channels, 1)
        self.project = _conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        seen = functional.scaled_dot_product_attention(q, k, v)
        result: Tensor = x + self.project(seen.transpose(1, 2).reshape(b, c, h, w))
        return result


class Halving(nn.Module):
    """3x3 at every second pixel; padded at the far edges only, so that an even side is halved exactly."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(functional.pad(x, (0, 1, 0, 1)))
        return result


def _doubling(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"), _conv(channels, channels))


def _middle(inside: int, size: Size) -> list[nn.Module]:
    middle, groups = size.middle, size.groups
    blocks: list[nn.Module] = [ResNetBlock(inside, middle, groups), AttentionBlock(middle, groups)]
    blocks.append(ResNetBlock(middle, middle, groups))
    return blocks + [AttentionBlock(middle, groups)] * (size.attentions > 1)


def _level(inside: int, width: int, count: int, groups: int) -> list[nn.Module]:
    return [ResNetBlock(a, b, groups) for a, b in pairwise([inside] + [width] * count)]


def encoder(size: Size, layers: int) -> nn.Sequential:
    """(B, 1, H, W), sides multiples of ``size.stride`` -> (B, size.middle, H / stride, W / stride).

    layers: of the token pyramid.
    """
    width = size.widths[0]
    parts: list[nn.Module] = [nn.PixelUnshuffle(size.fold), _conv(size.fold**2, width)]
    for level, wanted in enumerate(size.widths):
        parts += _level(width, wanted, size.blocks[0], size.groups)
        parts += [Halving(wanted)] * size.halved(level)
        width = wanted
    parts += [Placing(width, layers)] * size.placed
    parts += [*_middle(width, size), _norm(size.middle, size.groups), nn.SiLU(), _conv(size.middle, size.middle)]
    return nn.Sequential(*parts)


def decoder(size: Size) -> nn.Sequential:
    """The way back: (B, size.middle, h, w) -> (B, 1, h stride, w stride)."""
    width = size.middle
    parts: list[nn.Module] = [_conv(width, width), *_middle(width, size)]
    for level, wanted in reversed(list(enumerate(size.widths))):
        parts += [_doubling(width)] * size.halved(level)
        parts += _level(width, wanted, size.blocks[1], size.groups)
        width = wanted
    parts += [_norm(width, size.groups), nn.SiLU(), _conv(width, size.fold**2), nn.PixelShuffle(size.fold)]
    return nn.Sequential(*parts)

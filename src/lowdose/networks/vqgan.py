"""Encoder and decoder of a VQGAN for CT slices, in three sizes.

The encoder consists of levels of ResNet blocks, each followed by a downsampling by 2; at the resolution of the latents
follow ResNet and attention blocks. The decoder mirrors it.

P. Esser, R. Rombach, B. Ommer, Taming Transformers for High-Resolution Image Synthesis, CVPR 2021.
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
    """Architecture of a VQGAN's encoder and decoder.

    Attributes
    ----------
    widths : tuple of int
        Channels of the levels, fine to coarse.
    middle : int
        Channels of the blocks at the resolution of the latents.
    fold : int
        Squares of fold x fold pixels become channels before the first level.
    halved_last : bool
        Whether the last level is followed by a downsampling, as all the others are.
    blocks : tuple of two int
        ResNet blocks a level, in the encoder and in the decoder.
    attentions : int
        Attention blocks at the resolution of the latents, 0 to 2, besides two ResNet blocks. Without any, a latent
        depends on the image around its position alone.
    groups : int
        Groups of GroupNorm; 0 normalises every pixel by itself (``PixelNorm``).
    placed : bool
        Whether the encoder has a learned embedding of the positions at which the coarse layers of the token pyramid
        have tokens (``PositionEmbedding``).
    windows : tuple of (HU, HU)
        Centre and half width of the windows that the encoder sees beside the image, each a channel from -1 to 1.
    noisy : bool
        Whether the decoder adds noise of learned strength to its features at every level (``NoiseInjection``), so that
        it can draw the texture of an image whose pixels it does not know.
    unit_latents : bool
        Whether latents leave the encoder with unit variance and are scaled to the length of the words afterwards. The
        weights of both projections are then of the size that an optimiser's steps are made for.
    organs : bool
        Whether a linear layer tells the organ classes of each latent's cell from the features before the position
        embedding (``Autoencoder.organs``).
    """

    widths: tuple[int, ...]
    middle: int
    fold: int = 1
    halved_last: bool = True
    blocks: tuple[int, int] = (1, 1)
    attentions: int = 2
    groups: int = 32
    placed: bool = False
    windows: tuple[tuple[float, float], ...] = ()
    noisy: bool = False
    unit_latents: bool = False
    organs: bool = False

    @property
    def stride(self) -> int:
        """Pixels a side that one latent position stands for."""
        return int(self.fold * 2 ** (len(self.widths) - (not self.halved_last)))

    def halved(self, level: int) -> bool:
        """Return whether a downsampling follows this level of the encoder."""
        return self.halved_last or level < len(self.widths) - 1


SIZES = {
    "small": Size(widths=(64, 128), middle=144, fold=4, groups=0, placed=True),
    "paper": Size(widths=(64, 64, 128, 128), middle=256),
    "released": Size(widths=(64, 64, 128, 128, 256), middle=256, halved_last=False, blocks=(1, 2), attentions=1),
    "local": Size(
        widths=(64, 128),
        middle=144,
        fold=4,
        groups=0,
        placed=True,
        attentions=0,
        windows=((40.0, 200.0),),
        noisy=True,
        unit_latents=True,
        organs=True,
    ),
}
"""Architectures by name.

'paper': 6 ResNet and 2 attention blocks each in encoder and decoder, as stated in LEDA's section 3.1, which does not
state their places.
'released': the architecture that the authors' configuration gives, with 7 ResNet blocks and 1 attention block in the
encoder, 12 and 1 in the decoder, since the resolution at which it requests further attention is never reached.
'small': the project's own, for CPUs. It normalises every pixel by itself, so that a crop of a slice has the same
features as the slice, which statistics of a whole image do not allow. Since convolutions treat all positions alike, it
also has an embedding of the positions that carry the words of a region: there it can gather meaning, and keep detail at
all others.
'local': 'small' without attention, with a soft-tissue window beside the image, and with a decoder that draws texture:
what an encoder needs to see noise where it is. Its features also tell organs apart, which words are read from.
"""


class PixelNorm(nn.Module):
    """Normalisation of each pixel's channels to a mean square of 1, with a learned factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised features of the same shape, (B, C, H, W)."""
        mean_square = x.float().square().mean(1, keepdim=True)
        return x * (mean_square + EPSILON).rsqrt().to(x.dtype) * self.weight.to(x.dtype)


class PositionEmbedding(nn.Module):
    """Embedding of the latent positions by the layers of the token pyramid that have a token there.

    A learned vector for each layer is added at all positions of that layer.
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.parts = positions(layers)
        self.vectors = nn.Parameter(torch.zeros(layers, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return features with the embedding added, of the same shape, (B, C, H, W)."""
        added = torch.zeros_like(x[:1])
        for part, vector in zip(self.parts, self.vectors, strict=True):
            added[..., part, part] += vector.to(x.dtype)[:, None, None]
        return x + added


class NoiseInjection(nn.Module):
    """Addition of Gaussian noise, with a strength that depends on the features: (B, C, H, W) -> (B, C, H, W).

    After T. Karras, S. Laine, T. Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, CVPR
    2019, where the strength is a constant. The noise depends on ``seed`` and the shape only; ``seed`` is not saved.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.strength = _conv(channels, channels, 1)
        nn.init.normal_(self.strength.weight, 0.0, 0.01)
        assert self.strength.bias is not None
        nn.init.constant_(self.strength.bias, 0.1)
        self.seed = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return features with noise added, of the same shape."""
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(self.seed)).to(x)
        result: Tensor = x + self.strength(x) * noise
        return result


def _norm(channels: int, groups: int) -> nn.Module:
    return nn.GroupNorm(groups, channels, eps=EPSILON) if groups else PixelNorm(channels)


def _conv(in_channels: int, out_channels: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, side, padding=side // 2)


class ResNetBlock(nn.Module):
    """Residual block: twice normalisation, SiLU and a 3x3 convolution; (B, inside, H, W) -> (B, outside, H, W).

    The input is added to the result, through a 1x1 convolution where the number of channels changes.
    """

    def __init__(self, inside: int, outside: int, groups: int) -> None:
        super().__init__()
        self.first_norm, self.first = _norm(inside, groups), _conv(inside, outside)
        self.second_norm, self.second = _norm(outside, groups), _conv(outside, outside)
        self.shortcut = nn.Identity() if inside == outside else _conv(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, outside, H, W)."""
        h = self.first(functional.silu(self.first_norm(x)))
        h = self.second(functional.silu(self.second_norm(h)))
        result: Tensor = self.shortcut(x) + h
        return result


class AttentionBlock(nn.Module):
    """Self-attention between all positions, with one head and a residual connection: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(channels, groups)
        self.qkv = _conv(channels, 3 * channels, 1)
        self.project = _conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, C, H, W)."""
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        attended = functional.scaled_dot_product_attention(q, k, v)
        result: Tensor = x + self.project(attended.transpose(1, 2).reshape(b, c, h, w))
        return result


class Downsample(nn.Module):
    """Downsampling by 2 with a strided 3x3 convolution: (B, C, H, W) -> (B, C, H/2, W/2).

    The image is padded at the lower and right edges only, so that an even side is halved exactly.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the resolution, (B, C, H/2, W/2)."""
        result: Tensor = self.conv(functional.pad(x, (0, 1, 0, 1)))
        return result


def _upsampling(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"), _conv(channels, channels))


def _latent_blocks(in_channels: int, size: Size) -> list[nn.Module]:
    """Return the ResNet and attention blocks at the resolution of the latents."""
    middle, groups = size.middle, size.groups
    blocks: list[nn.Module] = [ResNetBlock(in_channels, middle, groups)]
    blocks += [AttentionBlock(middle, groups)] * (size.attentions > 0)
    blocks.append(ResNetBlock(middle, middle, groups))
    return blocks + [AttentionBlock(middle, groups)] * (size.attentions > 1)


def _level_blocks(in_channels: int, width: int, count: int, groups: int) -> list[nn.Module]:
    return [ResNetBlock(a, b, groups) for a, b in pairwise([in_channels] + [width] * count)]


def encoder(size: Size, layers: int) -> nn.Sequential:
    """Build the encoder: (B, 1 + len(size.windows), H, W) -> (B, size.middle, H / stride, W / stride).

    H and W are multiples of ``size.stride``. layers: layers of the token pyramid, for ``PositionEmbedding``.
    """
    width = size.widths[0]
    parts: list[nn.Module] = [nn.PixelUnshuffle(size.fold)]
    parts.append(_conv((1 + len(size.windows)) * size.fold**2, width))
    for level, level_width in enumerate(size.widths):
        parts += _level_blocks(width, level_width, size.blocks[0], size.groups)
        parts += [Downsample(level_width)] * size.halved(level)
        width = level_width
    parts += [PositionEmbedding(width, layers)] * size.placed
    parts += [*_latent_blocks(width, size), _norm(size.middle, size.groups), nn.SiLU(), _conv(size.middle, size.middle)]
    return nn.Sequential(*parts)


def decoder(size: Size) -> nn.Sequential:
    """Build the decoder, a mirror of the encoder: (B, size.middle, h, w) -> (B, 1, h * stride, w * stride)."""
    width = size.middle
    parts: list[nn.Module] = [_conv(width, width), *_latent_blocks(width, size)]
    for level, level_width in reversed(list(enumerate(size.widths))):
        parts += [_upsampling(width)] * size.halved(level)
        parts += _level_blocks(width, level_width, size.blocks[1], size.groups)
        parts += [NoiseInjection(level_width)] * size.noisy
        width = level_width
    parts += [_norm(width, size.groups), nn.SiLU(), _conv(width, size.fold**2), nn.PixelShuffle(size.fold)]
    return nn.Sequential(*parts)

"""U-Net discriminator (Schönfeld et al., CVPR 2020), which judges the whole image and every pixel of it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from lowdose.networks.discriminator import SLOPE


class UNetDiscriminator(nn.Module):
    """Residual U-Net: images (B, 1, H, W) -> a score for each image, (B, 1), and one for each pixel, (B, 1, H, W).

    Both sides of an image must be multiples of ``2**levels``. Convolutions from more than one channel to more than one
    are divided by their spectral norm, whose estimate has one iteration for each pass in training mode. Nothing is
    normalised over the batch.

    Parameters
    ----------
    width : int
        Channels of the first level; they double from level to level up to ``8 * width``.
    levels : int
        Levels that halve the image. The defaults are those of DU-GAN's release and give 57,213,839 parameters.

    References
    ----------
    E. Schönfeld, B. Schiele, A. Khoreva, A U-Net Based Discriminator for Generative Adversarial Networks, CVPR 2020.
    Z. Huang, J. Zhang, Y. Zhang, H. Shan, DU-GAN, IEEE TIM 2022.
    T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, Spectral Normalization for GANs, ICLR 2018.
    """

    def __init__(self, width: int = 64, levels: int = 6) -> None:
        super().__init__()
        widths = [1, *(width * min(2**level, 8) for level in range(levels))]
        steps = list(pairwise(widths))
        self.down = nn.ModuleList([_Down(a, b) for a, b in steps])
        self.deepest = _Residual(widths[-1], widths[-1])
        self.bottom = _two_convolutions(widths[-1], widths[-1])
        self.score = nn.Linear(widths[-1], 1)
        self.up = nn.ModuleList([_Up(b, a) for a, b in reversed(steps)])
        self.pixel_scores = nn.Conv2d(1, 1, 1)
        for module in list(self.modules()):
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(module.weight, 0.0, 0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.Conv2d) and min(module.in_channels, module.out_channels) > 1:
                spectral_norm(module)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of images and of pixels, without bounds."""
        h, skips = x, list[Tensor]()
        for down in self.down:
            h, skip = down(h)
            skips.append(skip)
        h = self.deepest(h)
        h = self.bottom(h) + h
        score = self.score(functional.leaky_relu(h, SLOPE).mean(dim=(2, 3)))
        for up in self.up:
            h = up(h, skips.pop())
        return score, self.pixel_scores(h)


def _two_convolutions(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(a, b, 3, padding=1), nn.LeakyReLU(SLOPE), nn.Conv2d(b, b, 3, padding=1), nn.LeakyReLU(SLOPE)
    )


class _Residual(nn.Module):
    """Two convolutions beside a 1x1 convolution, at one size."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.body, self.shortcut = _two_convolutions(a, b), nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


class _Down(nn.Module):
    """Two convolutions, whose result is the skip to the other side, and one that halves the image."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.body, self.halve = _two_convolutions(a, b), nn.Conv2d(b, b, 4, 2, 1)
        self.shortcut = nn.Conv2d(a, b, 1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return self.halve(h) + self.shortcut(x), h


class _Up(nn.Module):
    """Doubling of the image, and two convolutions of it together with the skip."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.body, self.shortcut = _two_convolutions(2 * a, b), nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        out: Tensor = self.body(torch.cat([x, skip], dim=1)) + self.shortcut(x)
        return out

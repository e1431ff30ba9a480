"""A PatchGAN (Isola et al., CVPR 2017): how real each patch of an image looks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2

SMALLEST = 24
"""Pixels a side of the smallest image in which ``patch_gan`` with 3 layers finds a patch."""


def patch_gan(width: int = 64, layers: int = 3) -> nn.Sequential:
    """(B, 1, H, W) -> logits (B, 1, h, w), each of one patch; with 64 and 3 that of VQGAN, of 70 x 70 pixels.

    4x4 convolutions, ``layers`` of stride 2 and one of stride 1, doubling the width up to eight times, batch
    normalisation in all but the first; weights drawn with SD 0.02 as by Isola et al.
    """
    widths = [width * min(2**level, 8) for level in range(layers + 1)]
    parts: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(SLOPE)]
    for level, (a, b) in enumerate(pairwise(widths), start=1):
        stride = 2 if level < layers else 1
        parts += [nn.Conv2d(a, b, 4, stride, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(SLOPE)]
    made = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, 1, 1))
    for module in made:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return made


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises: logits of real patches above 1, of made ones below -1."""
    return 0.5 * (functional.relu(1.0 - real).mean() + functional.relu(1.0 + fake).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last: Tensor, most: float = 1e4) -> Tensor:
    """|gradient of the reconstruction| / |gradient of the adversarial loss| at the weights ``last`` (VQGAN, Eq. 7).

    A constant scalar, at most ``most``: with it the second loss pulls at the last layer as hard as the first.
    """
    pulls = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (reconstruction, adversarial)]
    weight: Tensor = (pulls[0] / (pulls[1] + 1e-6)).clamp(0.0, most).detach()
    return weight

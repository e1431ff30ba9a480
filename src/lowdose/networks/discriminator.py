"""PatchGAN discriminator (Isola et al., CVPR 2017), its hinge loss, and the adaptive weight of VQGAN.

P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros, Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017.
P. Esser, R. Rombach, B. Ommer, Taming Transformers for High-Resolution Image Synthesis, CVPR 2021.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Slope of leaky ReLUs for negative values."""

SMALLEST = 24
"""Pixels a side of the smallest image for which ``patch_gan`` with 3 layers has an output."""


def patch_gan(width: int = 64, layers: int = 3) -> nn.Sequential:
    """Build a PatchGAN: image (B, 1, H, W) -> logits (B, 1, h, w), one for each overlapping patch of the image.

    The network consists of 4x4 convolutions, ``layers`` with stride 2 and one with stride 1, followed by the output
    convolution. Channels double from layer to layer up to eight times ``width``; all layers but the first have batch
    normalisation. Initial weights have a standard deviation of 0.02, as those of Isola et al.

    Parameters
    ----------
    width : int
        Channels of the first layer.
    layers : int
        Convolutions of stride 2. The defaults are those of VQGAN and give patches of 70 x 70 pixels.

    References
    ----------
    P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros, Image-to-Image Translation with Conditional Adversarial Networks, CVPR
    2017.
    """
    widths = [width * min(2**level, 8) for level in range(layers + 1)]
    parts: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(SLOPE)]
    for level, (a, b) in enumerate(pairwise(widths), start=1):
        stride = 2 if level < layers else 1
        parts += [nn.Conv2d(a, b, 4, stride, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(SLOPE)]
    network = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, 1, 1))
    for module in network:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return network


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's hinge loss, zero when logits of real patches are > 1 and of fake ones < -1."""
    return 0.5 * (functional.relu(1.0 - real).mean() + functional.relu(1.0 + fake).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last: Tensor, most: float = 1e4) -> Tensor:
    """Return the weight of the adversarial loss that balances both gradients at the last layer (VQGAN, Eq. 7).

    It is |gradient of the reconstruction loss| / |gradient of the adversarial loss| at the weights ``last``: a scalar
    without gradient, at most ``most``.
    """
    norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (reconstruction, adversarial)]
    weight: Tensor = (norms[0] / (norms[1] + 1e-6)).clamp(0.0, most).detach()
    return weight

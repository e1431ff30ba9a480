"""Critic of WGAN-VGG (Yang et al., IEEE TMI 2018): one score for a whole patch, without bounds."""

from __future__ import annotations

from torch import nn

from lowdose.networks.discriminator import SLOPE

REDUCTION = 8
"""Factor by which the convolutions reduce a patch's sides: three of them have stride 2."""


def patch_critic(patch: int, width: int = 64, channels: int = 1) -> nn.Sequential:
    """Build a critic: images (B, channels, patch, patch) -> scores (B, 1).

    Six 3x3 convolutions, of which every second halves the image, and two dense layers. Nothing is normalised over the
    batch, which the penalty on the gradient of each sample forbids, and the score has no bounds.

    Parameters
    ----------
    patch : int, pixels
        Height and width of the patches.
    width : int
        Channels of the first layer; there are four times as many in the last, and 16 times as many features in the
        first dense layer. With 64, as in the paper, patches of 64 pixels give 1,144,256 parameters in the convolutions
        and 16,779,265 in the dense layers.
    channels : int
        Channels of an image.

    References
    ----------
    Q. Yang et al., Low-Dose CT Image Denoising Using a Generative Adversarial Network With Wasserstein Distance and
    Perceptual Loss, IEEE TMI 2018.
    """
    widths = [channels, width, width, 2 * width, 2 * width, 4 * width, 4 * width]
    layers: list[nn.Module] = []
    for place in range(len(widths) - 1):
        layers += [nn.Conv2d(widths[place], widths[place + 1], 3, 1 + place % 2, 1), nn.LeakyReLU(SLOPE)]
    side = -(-patch // REDUCTION)
    dense = [nn.Linear(widths[-1] * side * side, 16 * width), nn.LeakyReLU(SLOPE), nn.Linear(16 * width, 1)]
    return nn.Sequential(*layers, nn.Flatten(), *dense)

"""Generator of WGAN-VGG: eight plain convolutions (Yang et al., IEEE TMI 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowdose.hounsfield import NON_NEGATIVE
from lowdose.network_spec import register_network
from lowdose.networks.full_precision import full_precision
from lowdose.networks.positive_output import start_bright

DEPTH = 8


@register_network("wgan_vgg")
class WGANGenerator(nn.Module):
    """Eight 3x3 convolutions, each followed by a ReLU, without any skip connection.

    (B, 1, H, W) -> (B, 1, H, W). The authors' release pads nothing, so that its result is 16 pixels smaller than its
    input; here every layer is padded. The last layer is a ReLU, so the network needs units in which the HU of interest
    are >= 0; its weights start positive (``positive_output.start_bright``), as those of ``cpce``.

    Parameters
    ----------
    channels : int
        Width of every layer. The paper uses 32.
    bias : bool
        Whether layers have a bias: 55,872 parameters without, as in the release, 56,097 with.

    Attributes
    ----------
    scale : Scale
        Map from HU to units in which every HU is >= 0.

    References
    ----------
    Q. Yang, P. Yan, Y. Zhang, H. Yu, Y. Shi, X. Mou, M. K. Kalra, Y. Zhang, L. Sun, G. Wang, Low-Dose CT Image
    Denoising Using a Generative Adversarial Network With Wasserstein Distance and Perceptual Loss, IEEE TMI 2018.
    """

    scale = NON_NEGATIVE

    def __init__(self, channels: int = 32, bias: bool = False) -> None:
        super().__init__()
        widths = [1, *[channels] * (DEPTH - 1), 1]
        layers = [nn.Conv2d(widths[i], widths[i + 1], 3, padding=1, bias=bias) for i in range(DEPTH)]
        start_bright(layers)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised image (B, 1, H, W)."""
        h = x
        for layer in self.layers[:-1]:
            h = torch.relu(layer(h))
        # Without a skip from the input, this sum holds the HU themselves, which half precision cannot resolve.
        with full_precision(x):
            return torch.relu(self.layers[-1](h.to(self.layers[-1].weight.dtype)))  # type: ignore[arg-type]

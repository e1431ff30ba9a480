"""Generator of DU-GAN: a padded RED-CNN of small kernels with a skip for each layer (Huang et al., IEEE TIM 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowdose.hounsfield import NON_NEGATIVE
from lowdose.network_spec import register_network

DEPTH = 11


@register_network("du_gan")
class DUGANGenerator(nn.Module):
    """Eleven convolutions and eleven mirrored ones; what enters a layer is added to the result of its mirror image.

    (B, 1, H, W) -> (B, 1, H, W). Every layer is padded and followed by a ReLU, which comes after the addition. What the
    last layer adds is the input itself, so the network needs units in which the HU of interest are >= 0.

    Parameters
    ----------
    channels : int
        Width of every layer. The authors' release has 32.
    kernel : int
        Pixels a side of the kernels, odd. The release has 3, which gives 185,569 parameters; 5 gives 514,273.

    Attributes
    ----------
    scale : Scale
        Map from HU to units in which every HU is >= 0.

    References
    ----------
    Z. Huang, J. Zhang, Y. Zhang, H. Shan, DU-GAN: Generative Adversarial Networks With Dual-Domain U-Net-Based
    Discriminators for Low-Dose CT Denoising, IEEE TIM 2022.
    """

    scale = NON_NEGATIVE

    def __init__(self, channels: int = 32, kernel: int = 3) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel}: must be odd")
        widths = [1, *[channels] * (2 * DEPTH - 1), 1]
        self.layers = nn.ModuleList(
            [nn.Conv2d(widths[i], widths[i + 1], kernel, padding=kernel // 2) for i in range(2 * DEPTH)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised image (B, 1, H, W)."""
        h, skips = x, list[Tensor]()
        for layer in self.layers[:DEPTH]:
            skips.append(h)
            h = torch.relu(layer(h))
        for layer in self.layers[DEPTH:]:
            h = torch.relu(layer(h) + skips.pop())
        return h

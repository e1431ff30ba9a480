"""Residual generator of the GAN with a hybrid loss function (Res-HLF; Ma et al., IEEE Access 2020), reconstructed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowdose.network_spec import register_network
from lowdose.networks.neighbours import check_slices

DEPTH = 8


@register_network("res_hlf")
class ResidualGenerator(nn.Module):
    """Eight 3x3 convolutions with ReLUs between them that predict the noise of the middle slice, which is subtracted.

    (B, slices, H, W) -> (B, 1, H, W). This is a reconstruction: the paper's text was not available. That the generator
    learns the noise is stated in its abstract; number, width and padding of the layers are this project's choice, the
    size of the generator of ``wgan_vgg``. The last layer starts at zero, so that an untrained network returns its
    input.

    Parameters
    ----------
    channels : int
        Width of every layer.
    slices : int
        Neighbouring slices that the network receives, the one to denoise in the middle. An odd number.

    Raises
    ------
    ValueError
        For an even number of slices, which has no middle one.

    References
    ----------
    Y. Ma, B. Wei, P. Feng, P. He, X. Guo, G. Wang, Low-Dose CT Image Denoising Using a Generative Adversarial Network
    With a Hybrid Loss Function for Noise Learning, IEEE Access 2020.
    """

    def __init__(self, channels: int = 32, slices: int = 1) -> None:
        super().__init__()
        check_slices(slices)
        self.slices = slices
        widths = [slices, *[channels] * (DEPTH - 1), 1]
        layers = [nn.Conv2d(widths[i], widths[i + 1], 3, padding=1) for i in range(DEPTH)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.out = layers.pop()
        nn.init.zeros_(self.out.weight)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised middle slice (B, 1, H, W)."""
        h = x
        for layer in self.layers:
            h = torch.relu(layer(h))
        middle = self.slices // 2
        result: Tensor = x[:, middle : middle + 1] - self.out(h)
        return result

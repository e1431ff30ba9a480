"""A small residual U-Net that predicts the noise and subtracts it: the project's own baseline, sized for CPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.network_spec import register_network
from lowdose.networks.neighbours import check_slices


def _conv_pair(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
    )


@register_network("unet")
class UNet(nn.Module):
    """U-Net that denoises the middle one of neighbouring slices: (B, slices, H, W) -> (B, 1, H, W).

    H and W are multiples of 2**(levels - 1). The network predicts the noise of the middle slice and subtracts it. The
    last convolution starts at zero, so an untrained network returns its input: HU are right from the first step, and
    only the noise has to be learned.

    Parameters
    ----------
    width : int
        Channels of the first level; they double from level to level.
    levels : int
        Resolutions, each half of the one before. The defaults, 32 channels and 4 levels, give 1.95 million parameters.
    slices : int
        Neighbouring slices that the network receives, the one to denoise in the middle. An odd number.

    Attributes
    ----------
    multiple : int
        Both sides of an image must be multiples of this.
    smallest : int
        Pixels a side of the smallest image.

    Raises
    ------
    ValueError
        For an even number of slices, which has no middle one.

    References
    ----------
    O. Ronneberger, P. Fischer, T. Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015.
    K. Zhang, W. Zuo, Y. Chen, D. Meng, L. Zhang, Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image
    Denoising, IEEE TIP 2017 (prediction of the noise).
    """

    def __init__(self, width: int = 32, levels: int = 4, slices: int = 1) -> None:
        super().__init__()
        check_slices(slices)
        self.slices = slices
        self.multiple = 2 ** (levels - 1)
        self.smallest = 2 * self.multiple
        widths = [width * 2**level for level in range(levels)]
        self.down = nn.ModuleList([_conv_pair(a, b) for a, b in zip([slices, *widths], widths, strict=False)])
        self.up = nn.ModuleList([_conv_pair(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)])
        self.out = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised middle slice (B, 1, H, W). Raises ValueError for sides that are not valid multiples."""
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            raise ValueError(f"this U-Net needs sides that are multiples of {self.multiple}, got {tuple(x.shape)}")
        h = x
        skips: list[Tensor] = []
        for level, pair in enumerate(self.down):
            h = pair(h if level == 0 else functional.max_pool2d(h, 2))
            skips.append(h)
        skips.pop()
        for pair in self.up:
            h = functional.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=False)
            h = pair(torch.cat([h, skips.pop()], dim=1))
        noise: Tensor = self.out(h)
        middle = self.slices // 2
        return x[:, middle : middle + 1] - noise

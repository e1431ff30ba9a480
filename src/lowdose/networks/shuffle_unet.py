"""A small residual U-Net for CPUs that works at half resolution: squares of pixels become channels first."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.network_spec import register_network
from lowdose.networks.neighbours import check_slices


class Block(nn.Module):
    """Residual block of two 3x3 convolutions, without normalisation: (B, width, H, W) -> (B, width, H, W).

    The weights of the second convolution start at zero, so that every block of a new network is the identity up to a
    constant.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, width, H, W)."""
        result: Tensor = x + self.second(functional.relu(self.first(x)))
        return result


@register_network("shuffle_unet")
class ShuffleUNet(nn.Module):
    """Shuffle U-Net: residual U-Net on squares of 2x2 pixels, the project's own network for CPUs.

    (B, slices, H, W) -> (B, 1, H, W), H and W multiples of 8. Squares of 2x2 pixels become four channels, the inverse
    of sub-pixel convolution, as in FFDNet; so the largest feature maps have a quarter of the image's pixels. Three
    levels of residual blocks follow, joined by strided convolutions and additive skip connections. The network predicts
    the noise of the middle slice and subtracts it; the prediction of a new network is zero.

    Parameters
    ----------
    width : int
        Channels of the first level; the other two have 2 and 3 times as many. The default, 48, gives 1,479,796
        parameters.
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
    W. Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
    Network, CVPR 2016.
    K. Zhang, W. Zuo, L. Zhang, FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image Denoising, IEEE TIP
    2018.
    K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016.
    """

    multiple = 8
    smallest = 16

    def __init__(self, width: int = 48, slices: int = 1) -> None:
        super().__init__()
        check_slices(slices)
        self.slices = slices
        a, b, c = width, 2 * width, 3 * width
        self.stem = nn.Conv2d(4 * slices, a, 3, padding=1)
        self.down = nn.ModuleList([nn.Sequential(Block(a)), nn.Sequential(Block(b), Block(b))])
        self.deepest = nn.Sequential(Block(c), Block(c))
        self.narrow = nn.ModuleList([nn.Conv2d(a, b, 2, stride=2), nn.Conv2d(b, c, 2, stride=2)])
        self.widen = nn.ModuleList([nn.ConvTranspose2d(c, b, 2, stride=2), nn.ConvTranspose2d(b, a, 2, stride=2)])
        self.up = nn.ModuleList([nn.Sequential(Block(b)), nn.Sequential(Block(a))])
        self.out = nn.Conv2d(a, 4, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised middle slice (B, 1, H, W). Raises ValueError for sides that are no multiples of 8."""
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            raise ValueError(f"this U-Net needs sides that are multiples of {self.multiple}, got {tuple(x.shape)}")
        h = self.stem(functional.pixel_unshuffle(x, 2))
        skips: list[Tensor] = []
        for blocks, narrow in zip(self.down, self.narrow, strict=True):
            h = blocks(h)
            skips.append(h)
            h = narrow(h)
        h = self.deepest(h)
        for widen, blocks in zip(self.widen, self.up, strict=True):
            h = blocks(widen(h) + skips.pop())
        noise: Tensor = functional.pixel_shuffle(self.out(torch.relu(h)), 2)
        middle = self.slices // 2
        return x[:, middle : middle + 1] - noise

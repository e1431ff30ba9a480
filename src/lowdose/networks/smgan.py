"""Generator of SMGAN: eight convolutions of a few slices (You et al., IEEE Access 2018), as far as it is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.hounsfield import NON_NEGATIVE
from lowdose.network_spec import register_network
from lowdose.networks.full_precision import full_precision
from lowdose.networks.neighbours import check_slices
from lowdose.networks.positive_output import start_bright
from lowdose.networks.slice_convolution import SliceConvolution

DEPTH = 8
MOST_SLICES = DEPTH + 1


@register_network("smgan")
class SMGANGenerator(nn.Module):
    """Eight convolutions without bias, in turn 3x3x1 and 3x3x3, each followed by a ReLU.

    (B, slices, H, W) -> (B, 1, H, W) for H, W >= 9. This is a reconstruction: the paper's text was not available, and
    widths, kernels and valid convolutions follow published descriptions of it, in which 80 x 80 x 11 pixels become
    64 x 64 x 3. Of the nine slices that such an output slice depends on, here only the middle one is denoised. The ReLU
    of the last layer, units in which the HU of interest are >= 0, and start weights are as in ``wgan_vgg``, by choice.

    Convolutions are valid, after the image has been mirrored by eight pixels at its borders, so that its size is kept.
    Where fewer than nine slices are given, the outermost stand for those beyond them, as the ends of a series do. The
    weights are the same for any number of slices.

    Parameters
    ----------
    channels : int
        Width of every layer. The paper uses 32, which gives 111,744 parameters.
    slices : int
        Neighbouring slices that the network receives, the one to denoise in the middle: an odd number up to 9.

    Attributes
    ----------
    scale : Scale
        Map from HU to units in which every HU is >= 0.
    smallest : int
        Pixels a side of the smallest image.

    Raises
    ------
    ValueError
        For an even number of slices, which has no middle one, and for more than 9, which would not all be used.

    References
    ----------
    C. You, Q. Yang, H. Shan, L. Gjesteby, G. Li, S. Ju, Z. Zhang, Z. Zhao, Y. Zhang, W. Cong, G. Wang,
    Structurally-Sensitive Multi-Scale Deep Neural Network for Low-Dose CT Denoising, IEEE Access 2018.
    """

    scale = NON_NEGATIVE
    smallest = DEPTH + 1

    def __init__(self, channels: int = 32, slices: int = MOST_SLICES) -> None:
        super().__init__()
        check_slices(slices, most=MOST_SLICES)
        self.slices = slices
        widths = [1, *[channels] * (DEPTH - 1), 1]
        layers = [SliceConvolution(widths[i], widths[i + 1], 3 if i % 2 else 1) for i in range(DEPTH)]
        start_bright(layers)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised middle slice (B, 1, H, W). Raises ValueError for images below 9 pixels a side."""
        if min(x.shape[-2:]) < self.smallest:
            raise ValueError(f"SMGAN needs images of at least {self.smallest} pixels a side, got {tuple(x.shape)}")
        beyond = (MOST_SLICES - self.slices) // 2
        slices = [x[:, :1]] * beyond + [x] + [x[:, -1:]] * beyond
        h = functional.pad(torch.cat(slices, dim=1), (DEPTH,) * 4, mode="reflect").unsqueeze(2)
        for layer in self.layers[:-1]:
            h = torch.relu(layer(h))
        # Without a skip from the input, this sum holds the HU themselves, which half precision cannot resolve.
        with full_precision(x):
            return torch.relu(self.layers[-1](h.to(self.layers[-1].weight.dtype)))[:, 0]  # type: ignore[arg-type]

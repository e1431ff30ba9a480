"""CPCE: convolutional encoder-decoder with conveying paths, of one or several slices (Shan et al., IEEE TMI 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowdose.hounsfield import NON_NEGATIVE
from lowdose.network_spec import register_network
from lowdose.networks.full_precision import full_precision
from lowdose.networks.neighbours import check_slices
from lowdose.networks.slice_convolution import SliceConvolution

DEPTH = 4


@register_network("cpce")
class CPCE(nn.Module):
    """CPCE-2D and CPCE-3D: four convolutions, then four 3x3 transposed convolutions with conveying paths.

    (B, slices, H, W) -> (B, 1, H, W) for H, W >= 9. No layer is padded or has a bias, and there is no skip connection
    from input to output. The last layer is a ReLU, so the network needs units in which the HU of interest are >= 0.

    Each convolution is 3x3x3 as long as more than one slice is left, so that it takes two of them away, and 3x3 after
    that. The output of each of the first three transposed convolutions is concatenated with the encoder's feature map
    of the same size, of several slices with that of the central one, and a 1x1 convolution reduces both to
    ``channels``, with a ReLU before and after it, as in the authors' release.

    A CPCE-3D can start from the weights of a CPCE-2D (``lowdose train --start``): kernels are (0, W, 0) along the
    slices, so that both give the same result for the middle slice at first, and the outer slices have no effect.

    Weights are initialised after Glorot & Bengio 2010, as in the release. Those of the last layer are made positive,
    which is this project's addition: their inputs are positive, so with random signs and no bias every second network
    would start with an output of zero everywhere, and stay there.

    Parameters
    ----------
    channels : int
        Width of every layer. The paper uses 32, which gives 62,016 parameters for one slice.
    slices : int
        Neighbouring slices that the network receives, the one to denoise in the middle: 1, or 3 to 9 as in the paper.

    Attributes
    ----------
    scale : Scale
        Map from HU to units in which every HU is >= 0.
    multiple : int
        Both sides of an image must be multiples of this.
    smallest : int
        Pixels a side of the smallest image.

    Raises
    ------
    ValueError
        For an even number of slices, which has no middle one, and for more than 9, which would not all be used up.

    References
    ----------
    H. Shan, Y. Zhang, Q. Yang, U. Kruger, M. K. Kalra, L. Sun, W. Cong, G. Wang, 3-D Convolutional Encoder-Decoder
    Network for Low-Dose CT via Transfer Learning From a 2-D Trained Network, IEEE TMI 2018.
    """

    scale = NON_NEGATIVE
    multiple = 1
    smallest = 2 * DEPTH + 1

    def __init__(self, channels: int = 32, slices: int = 1) -> None:
        super().__init__()
        check_slices(slices, most=2 * DEPTH + 1)
        self.slices = slices
        c, last = channels, DEPTH - 1
        deep = slices // 2
        self.encode = nn.ModuleList([SliceConvolution(c if i else 1, c, 3 if i < deep else 1) for i in range(DEPTH)])
        self.decode = nn.ModuleList([nn.ConvTranspose2d(c, 1 if i == last else c, 3, bias=False) for i in range(DEPTH)])
        self.join = nn.ModuleList([nn.Conv2d(2 * c, c, 1, bias=False) for _ in range(last)])
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter)
        with torch.no_grad():
            self.decode[last].weight.abs_()  # type: ignore[operator]  # a Parameter of a layer made above

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised middle slice (B, 1, H, W). Raises ValueError for images below 9 pixels a side."""
        return torch.relu(self.signed(x))

    def signed(self, x: Tensor) -> Tensor:
        """Return what ``forward`` returns, before its last ReLU."""
        if min(x.shape[-2:]) < self.smallest:
            raise ValueError(f"CPCE needs images of at least {self.smallest} pixels a side, got {tuple(x.shape)}")
        central: list[Tensor] = []
        stack = x.unsqueeze(2)
        for conv in self.encode:
            stack = torch.relu(conv(stack))
            central.append(stack[:, stack.shape[1] // 2])
        h = central.pop()  # the deepest map is the input of the decoder, not a skip connection
        for deconv, join in zip(self.decode, self.join, strict=False):
            h = torch.cat([central.pop(), torch.relu(deconv(h))], dim=1)
            h = torch.relu(join(h))
        # Without a skip from the input, this sum holds the HU themselves, which half precision cannot resolve.
        with full_precision(x):
            result: Tensor = self.decode[-1](h.to(self.decode[-1].weight.dtype))  # type: ignore[arg-type]
        return result

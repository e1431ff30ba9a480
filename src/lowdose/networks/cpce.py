"""CPCE-2D: convolutional encoder-decoder with conveying paths (Shan et al., IEEE TMI 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowdose.network_spec import register_network
from lowdose.networks.full_precision import full_precision

DEPTH = 4


@register_network("cpce")
class CPCE(nn.Module):
    """Four 3x3 convolutions and four 3x3 transposed ones, none padded; no bias, no skip from input to output.

    (B, 1, H, W) -> (B, 1, H, W) for H, W >= 9; the last ReLU needs units in which HU of interest are >= 0. Each of the
    first three transposed convolutions is joined by the encoder's map of its size, and a 1x1 convolution brings both
    back to ``channels``; a ReLU stands before and after it, as in the authors' release. 62,016 parameters at the
    paper's 32 channels.

    Weights start after Glorot & Bengio 2010, as in the release. The last layer's are made positive, which is ours:
    its inputs are, so that with random signs and no bias every second network would start with an output of zero
    everywhere, and stay there.
    """

    multiple = 1
    smallest = 2 * DEPTH + 1

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        c, last = channels, DEPTH - 1
        self.encode = nn.ModuleList([nn.Conv2d(c if i else 1, c, 3, bias=False) for i in range(DEPTH)])
        self.decode = nn.ModuleList([nn.ConvTranspose2d(c, 1 if i == last else c, 3, bias=False) for i in range(DEPTH)])
        self.join = nn.ModuleList([nn.Conv2d(2 * c, c, 1, bias=False) for _ in range(last)])
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter)
        with torch.no_grad():
            self.decode[last].weight.abs_()  # type: ignore[operator]  # a Parameter of a layer made above

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < self.smallest:
            raise ValueError(f"CPCE needs images of at least {self.smallest} pixels a side, got {tuple(x.shape)}")
        kept: list[Tensor] = []
        h = x
        for conv in self.encode:
            h = torch.relu(conv(h))
            kept.append(h)
        kept.pop()
        for deconv, join in zip(self.decode, self.join, strict=False):
            h = torch.cat([kept.pop(), torch.relu(deconv(h))], dim=1)
            h = torch.relu(join(h))
        # There is no skip from the input, so this sum carries the HU themselves: too fine for half precision.
        with full_precision(x):
            return torch.relu(self.decode[-1](h.to(self.decode[-1].weight.dtype)))  # type: ignore[arg-type]

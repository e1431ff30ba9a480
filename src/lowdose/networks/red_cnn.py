"""RED-CNN: residual encoder-decoder without pooling (Chen et al., IEEE TMI 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowdose.hounsfield import NON_NEGATIVE
from lowdose.network_spec import register_network


@register_network("red_cnn")
class REDCNN(nn.Module):
    """RED-CNN: five 5x5 convolutions, then five 5x5 transposed convolutions with three additive skip connections.

    (B, 1, H, W) -> (B, 1, H, W) for H, W >= 21. No layer is padded. One of the skip connections adds the input itself.
    The last layer is a ReLU, so the network needs units in which the HU of interest are >= 0.

    Parameters
    ----------
    channels : int
        Width of every layer. The paper uses 96, which gives 1,848,865 parameters.

    Attributes
    ----------
    scale : Scale
        Map from HU to units in which every HU is >= 0.
    multiple : int
        Both sides of an image must be multiples of this.
    smallest : int
        Pixels a side of the smallest image.

    References
    ----------
    H. Chen, Y. Zhang, M. K. Kalra, F. Lin, Y. Chen, P. Liao, J. Zhou, G. Wang, Low-Dose CT With a Residual
    Encoder-Decoder Convolutional Neural Network, IEEE TMI 2017.
    """

    scale = NON_NEGATIVE
    multiple = 1
    smallest = 21

    def __init__(self, channels: int = 96) -> None:
        super().__init__()
        c = channels
        self.encode = nn.ModuleList([nn.Conv2d(1 if i == 0 else c, c, 5) for i in range(5)])
        self.decode = nn.ModuleList([nn.ConvTranspose2d(c, 1 if i == 4 else c, 5) for i in range(5)])

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised image (B, 1, H, W). Raises ValueError for images below 21 pixels a side."""
        if min(x.shape[-2:]) < self.smallest:
            raise ValueError(f"RED-CNN needs images of at least {self.smallest} pixels a side, got {tuple(x.shape)}")
        skips = [x]
        h = x
        for i, conv in enumerate(self.encode):
            h = torch.relu(conv(h))
            if i in (1, 3):
                skips.append(h)
        for i, deconv in enumerate(self.decode):
            h = deconv(h)
            if i in (0, 2, 4):
                h = h + skips.pop()
            h = torch.relu(h)
        return h

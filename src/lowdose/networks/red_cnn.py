"""RED-CNN: residual encoder-decoder without pooling (Chen et al., IEEE TMI 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowdose.network_spec import register_network


@register_network("red_cnn")
class REDCNN(nn.Module):
    """Five 5x5 convolutions and five 5x5 transposed ones, none padded, with three additive shortcuts.

    (B, 1, H, W) -> (B, 1, H, W) for H, W >= 21; the last ReLU needs units in which HU of interest are >= 0.
    1,848,865 parameters at the paper's 96 channels.
    """

    multiple = 1
    smallest = 21

    def __init__(self, channels: int = 96) -> None:
        super().__init__()
        c = channels
        self.encode = nn.ModuleList([nn.Conv2d(1 if i == 0 else c, c, 5) for i in range(5)])
        self.decode = nn.ModuleList([nn.ConvTranspose2d(c, 1 if i == 4 else c, 5) for i in range(5)])

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < self.smallest:
            raise ValueError(f"RED-CNN needs images of at least {self.smallest} pixels a side, got {tuple(x.shape)}")
        kept = [x]
        h = x
        for i, conv in enumerate(self.encode):
            h = torch.relu(conv(h))
            if i in (1, 3):
                kept.append(h)
        for i, deconv in enumerate(self.decode):
            h = deconv(h)
            if i in (0, 2, 4):
                h = h + kept.pop()
            h = torch.relu(h)
        return h

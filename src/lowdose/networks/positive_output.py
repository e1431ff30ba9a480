"""Start weights of networks without skip connections whose last layer is a ReLU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

BRIGHTNESS = 4.0


def start_bright(layers: Sequence[nn.Conv2d]) -> None:
    """Initialise convolutions with ReLUs after He et al. 2015, and make the weights of the last one positive.

    Where the last ReLU is 0 for all images, nothing is ever learned. The inputs of the last layer are positive, so with
    random signs and no bias every second network would start like that; and the sum of weights is such that an
    untrained network is about as bright as its input.
    """
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    last, before = layers[-1], layers[-2]
    with torch.no_grad():
        last.weight.abs_()
        last.weight.mul_(BRIGHTNESS / math.sqrt(before.out_channels * last.in_channels))

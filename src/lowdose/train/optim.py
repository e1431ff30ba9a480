"""Learning-rate schedule and the moving average of weights."""

from __future__ import annotations

import math

import torch
from torch import nn


def cosine(step: int, steps: int, first: float, last: float, warmup: int) -> float:
    """Learning rate of ``step``: linear rise over ``warmup`` steps, then half a cosine from ``first`` to ``last``."""
    if step < warmup:
        return first * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return last + 0.5 * (first - last) * (1.0 + math.cos(math.pi * min(1.0, progress)))


class EMA:
    """Exponential moving average of a network's weights; its memory grows with the age of the run up to ``decay``."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1.0 - decay)
            else:
                self.weights[name].copy_(value)

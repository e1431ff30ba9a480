"""Learning-rate schedule and the moving average of weights."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import Optimizer

from lowdose.training.hyperparameters import Hyperparameters


def learning_rate(hyperparameters: Hyperparameters, step: int, updates: int) -> float:
    """Learning rate of ``step``: after ``warmup`` steps half a cosine from ``learning_rate`` to the final one.

    updates: that the optimiser has made; until there are ``warmup`` of them the rate is below a linear rise. So
    a player that joins late, or starts afresh, is warmed up too: Adam's first steps are as long as the rate, whatever
    the gradient.
    """
    n = hyperparameters
    progress = min(1.0, max(0, step - n.warmup) / max(1, n.steps - n.warmup))
    falling = n.final_learning_rate + 0.5 * (n.learning_rate - n.final_learning_rate) * (
        1.0 + math.cos(math.pi * progress)
    )
    return min(falling, n.learning_rate * (updates + 1) / n.warmup) if n.warmup else falling


def count_updates(optimiser: Optimizer) -> int:
    """How many steps an Adam has made since it was made, loaded or cleared."""
    return next((int(state["step"]) for state in optimiser.state.values()), 0)


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

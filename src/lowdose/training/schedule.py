"""Learning-rate schedule and exponential moving average of weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim import Optimizer

from lowdose.training.hyperparameters import Hyperparameters


def learning_rate(hyperparameters: Hyperparameters, step: int, updates: int) -> float:
    """Return the learning rate of ``step``: linear warm-up, then half a cosine down to the final learning rate.

    updates: number of updates that the optimiser has made; during the first ``warmup`` of them the learning rate is
    limited by a linear rise. A module that is trained only from a later step on, or whose optimiser was reset, is thus
    warmed up too: Adam's first updates are as large as the learning rate, whatever the gradient.
    """
    h = hyperparameters
    progress = min(1.0, max(0, step - h.warmup) / max(1, h.steps - h.warmup))
    cosine = h.final_learning_rate + 0.5 * (h.learning_rate - h.final_learning_rate) * (
        1.0 + math.cos(math.pi * progress)
    )
    return min(cosine, h.learning_rate * (updates + 1) / h.warmup) if h.warmup else cosine


UPDATES = "updates"
"""Entry of an optimiser's first group of parameters with the number of its updates."""


def count_updates(optimiser: Optimizer) -> int:
    """Count the updates that an optimiser has made, including those before its state was loaded."""
    counted: int | None = optimiser.param_groups[0].get(UPDATES)
    if counted is None:  # new, or loaded from a state of earlier versions, where all were Adam's
        counted = next((int(state["step"]) for state in optimiser.state.values()), 0)
    return counted


class EMA:
    """Exponential moving average of a network's weights.

    The decay rises with the number of steps, as (1 + step) / (10 + step), up to ``decay``.

    Attributes
    ----------
    decay : float
        Largest decay per step.
    weights : dict[str, Tensor]
        Averages of all parameters and floating-point buffers, and the latest value of other buffers, by name.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Add the weights after ``step`` steps to the average."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        averages, values = [], []
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                averages.append(self.weights[name])
                values.append(value)
            else:
                self.weights[name].copy_(value)
        torch._foreach_lerp_(averages, values, 1.0 - decay)  # on a GPU few calls instead of one for each tensor


@contextmanager
def averaged_weights(averages: Sequence[tuple[nn.Module, EMA]]) -> Iterator[None]:
    """Put the averaged weights into their modules for the time of the context."""
    trained = [{name: value.clone() for name, value in module.state_dict().items()} for module, _ in averages]
    for module, average in averages:
        module.load_state_dict(average.weights)
    try:
        yield
    finally:
        for (module, _), weights in zip(averages, trained, strict=True):
            module.load_state_dict(weights)

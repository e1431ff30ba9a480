"""Networks that see neighbouring slices: the number of slices, and the transfer of weights between such networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def check_slices(slices: int, most: int | None = None) -> None:
    """Raise ValueError unless ``slices`` is odd, so that there is a middle one to denoise, and at most ``most``."""
    if slices < 1 or slices % 2 == 0:
        raise ValueError(f"slices={slices}: must be odd, the slice itself and as many on each side of it")
    if most is not None and slices > most:
        raise ValueError(f"slices={slices}: at most {most} reach the middle slice in this network")


def load_weights_of_fewer_slices(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights of the same network for fewer slices, so that both give the same result at first.

    Where a layer has more channels than its weights, the weights are those of the slices in the middle, and the
    weights of the outer slices are zero (the transfer learning of Shan et al., "3-D convolutional encoder-decoder
    network for low-dose CT via transfer learning from a 2-D trained network" (CPCE), IEEE TMI 2018). Channels are
    ordered by slice. Raises ValueError when the shapes differ in any other way.
    """
    own = network.state_dict()
    if set(own) != set(weights):
        raise ValueError(f"weights {sorted(set(own) ^ set(weights))} belong to one of the two networks only")
    network.load_state_dict({name: _widen(name, weights[name], own[name]) for name in own})


def _widen(name: str, weight: Tensor, own: Tensor) -> Tensor:
    if weight.shape == own.shape:
        return weight
    extra = own.shape[1] - weight.shape[1] if own.ndim == weight.ndim == 4 else -1
    if extra < 0 or extra % 2 or own.shape[0] != weight.shape[0] or own.shape[2:] != weight.shape[2:]:
        raise ValueError(f"{name} is {tuple(weight.shape)}, which does not fit {tuple(own.shape)}")
    widened = torch.zeros_like(own)
    widened[:, extra // 2 : extra // 2 + weight.shape[1]] = weight
    return widened

"""Gradients of several processes."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import nn


def average_gradients(fabric: Fabric, parameters: list[nn.Parameter]) -> None:
    """Average the gradients over all processes in one all-reduce, in place.

    N processes are then equivalent to one with an N times larger batch.
    """
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    mean = fabric.all_reduce(torch.cat([g.reshape(-1) for g in gradients]), reduce_op="mean")
    assert isinstance(mean, torch.Tensor)
    for gradient, part in zip(gradients, torch.split(mean, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))

"""The token pyramid written out one position at a time, in float64, as LEDA and SPAE print it."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS_ON_32 = [[7, 23], [3, 7, 11, 15, 19, 23, 27, 31], list(range(32))]


def places(layer: int, height: int, width: int) -> list[tuple[int, int]]:
    """Positions of a layer of three on any grid up to 32 x 32, in the order of reading."""
    rows = ROWS_ON_32[layer]
    return [(y, x) for y in rows if y < height for x in rows if x < width]


def squared(z: Tensor, table: Tensor) -> Tensor:
    return ((z - table) ** 2).sum(1)


def slow_pyramid(latent: Tensor, table: Tensor, pools: list[list[int]]) -> dict[str, list[Tensor]]:
    """One latent (C, H, W) with three layers: for each layer its tokens, residuals, averages and losses.

    Differentiable in ``latent``; tokens and averages are constants.
    """
    latent, table = latent.double(), table.double()
    height, width = latent.shape[1:]
    chosen: dict[tuple[int, int], list[int]] = {}
    result: dict[str, list[Tensor]] = {
        name: [] for name in ("tokens", "residuals", "averages", "commitment", "semantic")
    }
    for layer in range(3):
        tokens, residuals, averages, commitment, semantic = [], [], [], [], []
        for place in places(layer, height, width):
            z = latent[(slice(None), *place)]
            before = chosen.setdefault(place, [])
            residual = z + sum((z - table[token] for token in before), torch.zeros_like(z))
            distances = squared(residual, table)
            before.append(int(distances.argmin()))
            average = table[before].mean(0)
            logs = torch.log(torch.exp(-distances) / torch.exp(-distances).sum())
            semantic.append(torch.stack([-logs[candidate] for candidate in pools[layer]]).mean())
            commitment.append(((z - average) ** 2).mean())
            tokens.append(torch.tensor(before[-1]))
            residuals.append(residual)
            averages.append(average)
        result["tokens"].append(torch.stack(tokens))
        result["residuals"].append(torch.stack(residuals))
        result["averages"].append(torch.stack(averages))
        result["commitment"].append(torch.stack(commitment).mean())
        result["semantic"].append(torch.stack(semantic).mean())
    return result

"""Weighted back-projection in PyTorch, for CUDA: the formulas and tables of the CPU, a few views at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lowdose.physics.backprojection import ARCTANGENT, BackprojectionTable

BLOCK = 8
"""Views per block: with 512 x 512 pixels, temporary arrays take 8 MiB."""


class BackProjectionTorch:
    """The same map as BackProjectionCPU, on the device of the input."""

    def __init__(self, table: BackprojectionTable) -> None:
        self.table = table

    def forward(self, sinograms: Tensor) -> Tensor:
        """Back-project sinograms (n, views, detectors) to images (n, ny, nx)."""
        lines = torch.nn.functional.pad(sinograms, (1, 2)).flatten(1)
        out = lines.new_zeros(len(lines), len(self.table.y), len(self.table.x))
        for place, share, weight in self._interpolation(lines):
            here = lines[:, place]
            out += ((here + share * (lines[:, place + 1] - here)) * weight).sum(dim=1)
        return out

    def adjoint(self, images: Tensor) -> Tensor:
        """Apply the adjoint to images (n, ny, nx), giving sinograms (n, views, detectors)."""
        views, width = len(self.table.sin), self.table.detectors + 3
        out = images.new_zeros(len(images), views * width)
        for place, share, weight in self._interpolation(images):
            value = images[:, None] * weight
            out.index_add_(1, place.flatten(), ((1 - share) * value).flatten(1))
            out.index_add_(1, place.flatten() + 1, (share * value).flatten(1))
        return out.reshape(len(images), views, width)[:, :, 1:-2]

    def _interpolation(self, like: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield, per block of views, the detector below each shadow (flat index), the next one's share, and the weight.

        All three have the shape (views of the block, ny, nx).
        """
        table, width = self.table, self.table.detectors + 3
        sin, cos, y, x = (torch.from_numpy(a).to(like) for a in (table.sin, table.cos, table.y, table.x))
        first = torch.arange(len(sin), device=like.device) * width
        for s, c, start in zip(*(part[:, None, None].split(BLOCK) for part in (sin, cos, first)), strict=True):
            side = y[:, None] * s + x * c
            if table.source_mm > 0:
                depth = table.source_mm + y[:, None] * c - x * s
                r = (side / depth).clamp(-1, 1)
                angle = torch.full_like(r, ARCTANGENT[-1])
                for coefficient in reversed(ARCTANGENT[:-1]):
                    angle = angle * (r * r) + coefficient
                t, weight = angle * r * table.scale + table.centre, 1 / (depth * depth + side * side)
            else:
                t, weight = side * table.scale + table.centre, torch.ones_like(side)
            t = t.clamp(0, width - 2)
            below = t.floor()
            yield start + below.long(), t - below, weight

"""Joseph's method in PyTorch, for CUDA: the same ray table as on the CPU, processed in blocks of rays."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lowdose.physics.joseph import RayTable

BLOCK = 1 << 14
"""Rays per block: with 512 crossings each, this needs a few temporary arrays of 32 MiB."""


class JosephTorch:
    """Forward projection and its exact adjoint, on the device of the input, in float32 or float64."""

    def __init__(self, table: RayTable, shape: tuple[int, int]) -> None:
        self.table, self.shape = table, shape
        self._rays_by_type: dict[tuple[torch.device, torch.dtype], list[tuple[Tensor, ...]]] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Project images (n, ny, nx) to sinograms (n, views, detectors)."""
        views, detectors = self.table.shape
        out = images.new_zeros(len(images), views * detectors)
        for oriented, rays in zip((images, images.mT), self._rays(images), strict=True):
            bordered = torch.nn.functional.pad(oriented, (1, 1)).flatten(1)
            for numbers, place, share, step in self._crossings(rays, oriented.shape[-2], oriented.shape[-1] + 2):
                here = bordered[:, place]
                value = here + share * (bordered[:, place + 1] - here)
                out[:, numbers] = value.sum(dim=-1) * step
        return out.reshape(len(images), views, detectors)

    def adjoint(self, sinograms: Tensor) -> Tensor:
        """Apply the adjoint to sinograms (n, views, detectors), giving images (n, ny, nx)."""
        lines = sinograms.flatten(1)
        ny, nx = self.shape
        sums = []
        for (n, m), rays in zip(((ny, nx), (nx, ny)), self._rays(lines), strict=True):
            total = lines.new_zeros(len(lines), n * (m + 2))
            for numbers, place, share, step in self._crossings(rays, n, m + 2):
                value = (lines[:, numbers] * step)[..., None]
                total.index_add_(1, place.flatten(), ((1 - share) * value).flatten(1))
                total.index_add_(1, place.flatten() + 1, (share * value).flatten(1))
            sums.append(total.reshape(len(lines), n, m + 2)[:, :, 1:-1])
        return sums[0] + sums[1].mT

    def _rays(self, like: Tensor) -> list[tuple[Tensor, ...]]:
        """Return (ray numbers, offset, slope, step) of the steep rays and of the flat rays."""
        key = (like.device, like.dtype)
        if key not in self._rays_by_type:
            table, steep = self.table, torch.from_numpy(self.table.steep)
            arrays = [torch.from_numpy(a).to(like) for a in (table.offset, table.slope, table.step)]
            self._rays_by_type[key] = [
                (rays, *(a[rays] for a in arrays))
                for rays in (mask.nonzero()[:, 0].to(like.device) for mask in (steep, ~steep))
            ]
        return self._rays_by_type[key]

    @staticmethod
    def _crossings(rays: tuple[Tensor, ...], n: int, m: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield, per block, ray numbers (r,), pixel index (r, n), weight of the next pixel (r, n) and step (r,)."""
        rows = torch.arange(n, device=rays[0].device)
        # A crossing outside the image is put between two empty pixels: the last of a row and the first of the next.
        empty = rows.clamp(max=n - 2) * m + m - 1
        for numbers, offset, slope, step in zip(*(part.split(BLOCK) for part in rays), strict=True):
            t = offset[:, None] + slope[:, None] * rows
            inside = (t >= 0) & (t < m - 1)
            t = torch.where(inside, t, 0.0)
            below = t.floor()
            yield numbers, torch.where(inside, below.long() + rows * m, empty), t - below, step

"""Joseph's method on the CPU: compiled loops over rays on all cores, bit-identical for any number of cores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowdose.physics.compiled import compiled
from lowdose.physics.joseph import RayTable
from lowdose.physics.threads import BLOCKS, in_threads

Array = NDArray[Any]


class JosephCPU:
    """Forward projection and its exact adjoint, in the type of the input: float32 or float64."""

    def __init__(self, table: RayTable, shape: tuple[int, int]) -> None:
        self.table, self.shape = table, shape
        self._rays_by_type: dict[np.dtype[Any], tuple[Array, ...]] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Project images (n, ny, nx) to sinograms (n, views, detectors)."""
        pixels = images.detach().contiguous().numpy()
        rays = self._rays(pixels.dtype)
        out = np.empty((len(pixels), len(rays[0])), pixels.dtype)
        for image, line in zip(pixels, out, strict=True):
            rows, columns = _bordered(image), _bordered(image.T)
            in_threads(_project, line.size, rows, columns, *rays, line)
        return torch.from_numpy(out.reshape(-1, *self.table.shape))

    def adjoint(self, sinograms: Tensor) -> Tensor:
        """Apply the adjoint to sinograms (n, views, detectors), giving images (n, ny, nx)."""
        lines = sinograms.detach().contiguous().numpy().reshape(len(sinograms), -1)
        rays = self._rays(lines.dtype)
        ny, nx = self.shape
        out = np.empty((len(lines), ny, nx), lines.dtype)
        for image, line in zip(out, lines, strict=True):
            # Each block of rays has its own image, and these are summed in order: no two threads write to one pixel.
            rows, columns = (np.zeros((BLOCKS, n, m + 2), lines.dtype) for n, m in ((ny, nx), (nx, ny)))
            in_threads(_backproject, line.size, line, *rays, rows, columns)
            image[:] = rows.sum(axis=0)[:, 1:-1] + columns.sum(axis=0)[:, 1:-1].T
        return torch.from_numpy(out)

    def _rays(self, dtype: np.dtype[Any]) -> tuple[Array, ...]:
        if dtype not in self._rays_by_type:
            table = self.table
            self._rays_by_type[dtype] = (
                *(a.astype(dtype) for a in (table.offset, table.slope, table.step)),
                table.steep,
            )
        return self._rays_by_type[dtype]


def _bordered(image: Array) -> Array:
    """Add an empty pixel at both ends of each row, so that the weight of a ray fades out at the image edge."""
    return np.pad(np.ascontiguousarray(image), ((0, 0), (1, 1)))


@compiled()
def _crossed_rows(offset, slope, n, m):  # type: ignore[no-untyped-def]
    """Return first and last of the rows first..last-1 of ``n`` where a ray lies between columns 0 and m-1."""
    kind = type(offset)
    first, last = 0, n
    if slope != 0:
        at_start, at_end = -offset / slope, (kind(m - 1) - offset) / slope
        low, high = min(at_start, at_end), max(at_start, at_end)
        # Nearly vertical rays leave the columns far away: clip before rounding, or the integer overflows.
        first, last = math.ceil(min(max(low, kind(0)), kind(n))), math.ceil(min(max(high, kind(0)), kind(n)))
    # Rounding may put an end of the range one row outside.
    while first < last and not 0 <= offset + slope * kind(first) < m - 1:
        first += 1
    while last > first and not 0 <= offset + slope * kind(last - 1) < m - 1:
        last -= 1
    return first, last


@compiled()
def _project(rows, columns, offset, slope, step, steep, out, _block, first, last):  # type: ignore[no-untyped-def]
    kind = type(offset[0])
    for ray in range(first, last):
        image = rows if steep[ray] else columns
        a, b = offset[ray], slope[ray]
        start, end = _crossed_rows(a, b, *image.shape)
        total = kind(0)
        for i in range(start, end):
            t = a + b * kind(i)
            k = np.uint32(t)
            here = image[i, k]
            total += here + (t - kind(k)) * (image[i, k + np.uint32(1)] - here)
        out[ray] = total * step[ray]


@compiled()
def _backproject(line, offset, slope, step, steep, rows, columns, block, first, last):  # type: ignore[no-untyped-def]
    kind = type(offset[0])
    for ray in range(first, last):
        image = rows[block] if steep[ray] else columns[block]
        a, b, value = offset[ray], slope[ray], line[ray] * step[ray]
        start, end = _crossed_rows(a, b, *image.shape)
        for i in range(start, end):
            t = a + b * kind(i)
            k = np.uint32(t)
            share = (t - kind(k)) * value
            image[i, k] += value - share
            image[i, k + np.uint32(1)] += share

"""Weighted back-projection on the CPU and its exact adjoint: compiled loops, bit-identical for any number of cores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowdose.physics.backprojection import ARCTANGENT, BackprojectionTable
from lowdose.physics.compiled import compiled
from lowdose.physics.threads import in_threads

Array = NDArray[Any]


class BackProjectionCPU:
    """Weighted sum over views of the projection value at each pixel, in the type of the input: float32 or float64."""

    def __init__(self, table: BackprojectionTable) -> None:
        self.table = table
        self._tables_by_type: dict[np.dtype[Any], tuple[Any, ...]] = {}

    def forward(self, sinograms: Tensor) -> Tensor:
        """Back-project sinograms (n, views, detectors) to images (n, ny, nx)."""
        lines = np.pad(sinograms.detach().numpy(), ((0, 0), (0, 0), (1, 2)))
        out = np.empty((len(lines), len(self.table.y), len(self.table.x)), lines.dtype)
        for line, image in zip(lines, out, strict=True):
            in_threads(_gather, len(image), line, *self._tables(lines.dtype), image)
        return torch.from_numpy(out)

    def adjoint(self, images: Tensor) -> Tensor:
        """Apply the adjoint to images (n, ny, nx), giving sinograms (n, views, detectors)."""
        pixels = images.detach().contiguous().numpy()
        out = np.zeros((len(pixels), len(self.table.sin), self.table.detectors + 3), pixels.dtype)
        for image, line in zip(pixels, out, strict=True):
            in_threads(_scatter, len(line), image, *self._tables(pixels.dtype), line)
        return torch.from_numpy(out[:, :, 1:-2].copy())

    def _tables(self, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        if dtype not in self._tables_by_type:
            table = self.table
            arrays = (a.astype(dtype) for a in (table.sin, table.cos, table.y, table.x))
            self._tables_by_type[dtype] = (
                *arrays,
                *(dtype.type(v) for v in (table.source_mm, table.scale, table.centre)),
            )
        return self._tables_by_type[dtype]


@compiled()
def _interpolate(y, x, sin, cos, source, scale, centre, top, places, shares, weights):  # type: ignore[no-untyped-def]
    """Compute for a row of pixels at ``y`` the detector below each shadow, its distance from there and the weight."""
    kind = type(y)
    one, zero = kind(1), kind(0)
    for j in range(len(x)):
        depth, side = source + y * cos - x[j] * sin, y * sin + x[j] * cos
        if source > zero:
            r = min(max(side / depth, -one), one)
            s = r * r
            a = kind(ARCTANGENT[9])
            a = a * s + kind(ARCTANGENT[8])
            a = a * s + kind(ARCTANGENT[7])
            a = a * s + kind(ARCTANGENT[6])
            a = a * s + kind(ARCTANGENT[5])
            a = a * s + kind(ARCTANGENT[4])
            a = a * s + kind(ARCTANGENT[3])
            a = a * s + kind(ARCTANGENT[2])
            a = a * s + kind(ARCTANGENT[1])
            a = a * s + kind(ARCTANGENT[0])
            t, weights[j] = a * r * scale + centre, one / (depth * depth + side * side)
        else:
            t, weights[j] = side * scale + centre, one
        # Positions outside are moved to the padding, where both neighbours are zero.
        t = min(max(t, zero), top)
        k = np.int32(t)
        places[j], shares[j] = k, t - kind(k)


@compiled()
def _gather(lines, sin, cos, y, x, source, scale, centre, image, _block, first, last):  # type: ignore[no-untyped-def]
    places, shares, weights = np.empty(len(x), np.uint32), np.empty_like(x), np.empty_like(x)
    top = type(source)(lines.shape[1] - 2)
    image[first:last] = 0
    # The loop over views is the outer one, so that a projection stays in the cache for all rows of the block.
    for view in range(len(sin)):
        line = lines[view]
        for i in range(first, last):
            _interpolate(y[i], x, sin[view], cos[view], source, scale, centre, top, places, shares, weights)
            total = image[i]
            for j in range(len(x)):
                k = places[j]
                here = line[k]
                total[j] += (here + shares[j] * (line[k + np.uint32(1)] - here)) * weights[j]


@compiled()
def _scatter(image, sin, cos, y, x, source, scale, centre, lines, _block, first, last):  # type: ignore[no-untyped-def]
    places, shares, weights = np.empty(len(x), np.uint32), np.empty_like(x), np.empty_like(x)
    top = type(source)(lines.shape[1] - 2)
    for view in range(first, last):
        line = lines[view]
        for i in range(len(y)):
            _interpolate(y[i], x, sin[view], cos[view], source, scale, centre, top, places, shares, weights)
            for j in range(len(x)):
                k, value = places[j], image[i, j] * weights[j]
                share = shares[j] * value
                line[k] += value - share
                line[k + np.uint32(1)] += share

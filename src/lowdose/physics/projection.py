"""Forward projection of slices and its exact adjoint: one face for CPU and CUDA, differentiable, batched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from lowdose.errors import GeometryMismatch
from lowdose.physics.geometry import Beam, Grid
from lowdose.physics.joseph import ray_table
from lowdose.physics.joseph_cpu import JosephCPU
from lowdose.physics.joseph_torch import JosephTorch


class LinearMap(Protocol):
    """A linear map between batches, and its adjoint."""

    def forward(self, batch: Tensor) -> Tensor: ...

    def adjoint(self, batch: Tensor) -> Tensor: ...


class Projector:
    """Line integrals of slices along the rays of a scan, by Joseph's method.

    ``forward``: (..., ny, nx) -> (..., views, detectors), in the slice's unit times mm. ``adjoint``: the other way,
    <A x, y> = <x, A' y>. float32 or float64; gradients of any order flow through both. On the CPU the same input
    gives the same bytes on any number of cores.
    """

    def __init__(self, beam: Beam, grid: Grid) -> None:
        self.beam, self.grid = beam, grid
        table = ray_table(beam, grid)
        self._maps = ByDevice(JosephCPU(table, grid.shape), JosephTorch(table, grid.shape))

    def forward(self, slices: Tensor) -> Tensor:
        """Raises GeometryMismatch when the slices do not have the grid's shape."""
        check_shape(slices, self.grid.shape, "slices")
        return over_last_two(self._maps.forward, slices)

    def adjoint(self, sinograms: Tensor) -> Tensor:
        """Raises GeometryMismatch when the sinograms are not (..., views, detectors)."""
        check_shape(sinograms, (self.beam.views, self.beam.detectors), "sinograms")
        return over_last_two(self._maps.adjoint, sinograms)


class ByDevice:
    """A linear map with autograd: the compiled one for tensors on the CPU, the PyTorch one elsewhere."""

    def __init__(self, cpu: LinearMap, elsewhere: LinearMap) -> None:
        self._cpu, self._elsewhere = cpu, elsewhere

    def forward(self, batch: Tensor) -> Tensor:
        """The map on (n, a, b)."""
        chosen = self._choose(batch)
        return torch.as_tensor(_Linear.apply(batch, chosen.forward, chosen.adjoint))

    def adjoint(self, batch: Tensor) -> Tensor:
        """Its adjoint on (n, c, d)."""
        chosen = self._choose(batch)
        return torch.as_tensor(_Linear.apply(batch, chosen.adjoint, chosen.forward))

    def _choose(self, batch: Tensor) -> LinearMap:
        return self._cpu if batch.device.type == "cpu" else self._elsewhere


class _Linear(torch.autograd.Function):
    """A linear map as a node of the graph; its gradient is its adjoint, which is one again."""

    @staticmethod
    def forward(ctx: Any, batch: Tensor, way: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.way, ctx.back = way, back
        return way(batch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Linear.apply(gradients[0], ctx.back, ctx.way), None, None


def check_shape(batch: Tensor, shape: tuple[int, int], what: str) -> None:
    """Raises GeometryMismatch unless ``batch`` is (..., *shape), float32 or float64."""
    if batch.shape[-2:] != shape or batch.ndim < 2:
        raise GeometryMismatch(f"{what} of shape {tuple(batch.shape)} do not fit the geometry: need (..., {shape})")
    if batch.dtype not in (torch.float32, torch.float64):
        raise GeometryMismatch(f"{what} of type {batch.dtype}: need float32 or float64")


def over_last_two(function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """``function`` of (n, a, b) on (..., a, b)."""
    out = function(batch.reshape(-1, *batch.shape[-2:]))
    return out.reshape(*batch.shape[:-2], *out.shape[-2:])

"""Forward projection of slices and its exact adjoint on CPU and CUDA, differentiable and batched."""

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

    def forward(self, batch: Tensor) -> Tensor:
        """Apply the map to a batch (n, a, b)."""
        ...

    def adjoint(self, batch: Tensor) -> Tensor:
        """Apply the adjoint of the map to a batch (n, c, d)."""
        ...


class Projector:
    """Line integrals of slices along the rays of a scan, by Joseph's method.

    ``forward`` maps (..., ny, nx) to (..., views, detectors), in the unit of the slice times mm. ``adjoint`` is the
    exact adjoint, <A x, y> = <x, A' y>. Both take float32 or float64 and support gradients of any order. On the CPU
    results are bit-identical for any number of cores.
    """

    def __init__(self, beam: Beam, grid: Grid) -> None:
        self.beam, self.grid = beam, grid
        table = ray_table(beam, grid)
        self._maps = ByDevice(JosephCPU(table, grid.shape), JosephTorch(table, grid.shape))

    def forward(self, slices: Tensor) -> Tensor:
        """Project slices (..., ny, nx); raise GeometryMismatch when they do not have the shape of the grid."""
        check_shape(slices, self.grid.shape, "slices")
        return over_last_two(self._maps.forward, slices)

    def adjoint(self, sinograms: Tensor) -> Tensor:
        """Apply the adjoint to sinograms; raise GeometryMismatch when they are not (..., views, detectors)."""
        check_shape(sinograms, (self.beam.views, self.beam.detectors), "sinograms")
        return over_last_two(self._maps.adjoint, sinograms)


class ByDevice:
    """A linear map with autograd: compiled loops for tensors on the CPU, PyTorch on other devices."""

    def __init__(self, cpu: LinearMap, elsewhere: LinearMap) -> None:
        self._cpu, self._elsewhere = cpu, elsewhere

    def forward(self, batch: Tensor) -> Tensor:
        """Apply the map to a batch (n, a, b)."""
        linear_map = self._choose(batch)
        return torch.as_tensor(_Linear.apply(batch, linear_map.forward, linear_map.adjoint))

    def adjoint(self, batch: Tensor) -> Tensor:
        """Apply the adjoint of the map to a batch (n, c, d)."""
        linear_map = self._choose(batch)
        return torch.as_tensor(_Linear.apply(batch, linear_map.adjoint, linear_map.forward))

    def _choose(self, batch: Tensor) -> LinearMap:
        return self._cpu if batch.device.type == "cpu" else self._elsewhere


class _Linear(torch.autograd.Function):
    """A linear map as an autograd function: its gradient is the adjoint, again such a function."""

    @staticmethod
    def forward(
        ctx: Any, batch: Tensor, apply_map: Callable[[Tensor], Tensor], apply_adjoint: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.apply_map, ctx.apply_adjoint = apply_map, apply_adjoint
        return apply_map(batch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Linear.apply(gradients[0], ctx.apply_adjoint, ctx.apply_map), None, None


def check_shape(batch: Tensor, shape: tuple[int, int], what: str) -> None:
    """Raise GeometryMismatch unless ``batch`` has the shape (..., *shape) and is float32 or float64."""
    if batch.shape[-2:] != shape or batch.ndim < 2:
        raise GeometryMismatch(f"{what} of shape {tuple(batch.shape)} do not fit the geometry: need (..., {shape})")
    if batch.dtype not in (torch.float32, torch.float64):
        raise GeometryMismatch(f"{what} of type {batch.dtype}: need float32 or float64")


def over_last_two(function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """Apply a ``function`` of (n, a, b) to a batch (..., a, b)."""
    out = function(batch.reshape(-1, *batch.shape[-2:]))
    return out.reshape(*batch.shape[:-2], *out.shape[-2:])

"""Discs whose line integrals are known, and scans small enough to test with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf

from lowdose.physics.geometry import Beam, Grid
from lowdose.physics.scanner import WATER

Array = NDArray[np.float64]


@pytest.fixture(scope="session")
def chords() -> Callable[..., torch.Tensor]:
    """Length of each ray in a disc, (views, detectors), mm: 2 sqrt(R^2 - s^2)."""

    def lengths(beam: Beam, radius_mm: float, centre_mm: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
        points, along = beam.rays()
        away = points - np.array(centre_mm)
        beside = away[:, 0] * along[:, 1] - away[:, 1] * along[:, 0]
        length = 2 * np.sqrt(np.maximum(radius_mm**2 - beside**2, 0))
        return torch.from_numpy(length.reshape(beam.views, beam.detectors))

    return lengths


@pytest.fixture(scope="session")
def disc() -> Callable[..., torch.Tensor]:
    """A disc on a grid, (ny, nx): the share of each pixel that it covers, or with the edge blurred by a Gaussian."""

    def covered(grid: Grid, radius_mm: float, blur_mm: float = 0.0) -> torch.Tensor:
        (dy, dx), (y, x) = grid.pixel_mm, np.meshgrid(*grid.axes(), indexing="ij")
        if blur_mm > 0:
            return torch.from_numpy(0.5 * (1 - erf((np.hypot(y, x) - radius_mm) / (blur_mm * np.sqrt(2)))))
        share = np.zeros(grid.shape)
        for part in (np.arange(64) + 0.5) / 64 - 0.5:
            half = np.sqrt(np.maximum(radius_mm**2 - (y + part * dy) ** 2, 0))
            share += np.clip(np.minimum(x + dx / 2, half) - np.maximum(x - dx / 2, -half), 0, None) / (64 * dx)
        return torch.from_numpy(share)

    return covered


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads, and sets it back after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def water() -> Callable[..., Array]:
    """HU of the pixels within ``radius_mm`` of the axis, of a slice in 1/mm."""

    def inner(attenuation: torch.Tensor, grid: Grid, radius_mm: float) -> Array:
        y, x = grid.axes()
        inside = np.hypot(y[:, None], x) < radius_mm
        return np.asarray(1000 * attenuation.numpy()[inside] / WATER - 1000)

    return inner

"""Power of noise in bands: directions, and the likelihood that is best where the power is right."""

from __future__ import annotations

import math

import pytest
import torch

from lowdose.objectives.noise_bands import SECTORS, NoiseBands, whittle


@pytest.mark.parametrize(("angle", "sector"), [(0, 0), (45, 1), (90, 2), (135, 3)])
def test_a_wave_lies_in_the_band_of_its_frequency_and_direction(angle: float, sector: int) -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    along = math.cos(math.radians(angle)) * x + math.sin(math.radians(angle)) * y
    power = NoiseBands(32)(torch.cos(2 * math.pi * 8 / 32 * along))
    ring, found = divmod(int(power.argmax()), SECTORS)
    assert (ring + 1, found) == (8, sector)


def test_a_surface_of_second_order_has_no_power() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    assert NoiseBands(16)(3 + x - 2 * y + x * y + y * y).abs().max() < 1e-8


def test_the_likelihood_is_best_for_the_mean_power_whatever_it_is() -> None:
    measured = torch.tensor([[0.01, 1.0], [0.03, 5.0]])
    expected = measured.mean(dim=0, keepdim=True).expand(2, 2).clone().requires_grad_(True)
    whittle(expected, measured, floor=0.0).backward()
    assert expected.grad is not None
    torch.testing.assert_close(expected.grad.sum(dim=0), torch.zeros(2), atol=1e-4, rtol=0)
    best = whittle(expected, measured)
    assert all(whittle(factor * expected, measured) > best for factor in (0.8, 1.25))

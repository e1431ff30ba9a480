"""The ratio of how much features depend on where noise lies to how much they depend on noise."""

from __future__ import annotations

import pytest
import torch

from lowdose.objectives.noise_invariance import noise_realisation_ratio


def test_written_out() -> None:
    smooth, first, second = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    slow_top = sum(float((a - b) ** 2) for a, b in zip(first.flatten(), second.flatten(), strict=True))
    slow_bottom = 0.5 * sum(
        float((a - s) ** 2 + (b - s) ** 2)
        for a, b, s in zip(first.flatten(), second.flatten(), smooth.flatten(), strict=True)
    )
    assert float(noise_realisation_ratio(smooth, first, second)) == pytest.approx(slow_top / slow_bottom)


def test_without_any_noise_it_is_zero_and_has_no_gradient() -> None:
    features = torch.randn(2, 3, requires_grad=True)
    ratio = noise_realisation_ratio(features, features, features)
    assert float(ratio.detach()) == 0.0
    (gradient,) = torch.autograd.grad(ratio, features)
    assert not bool(gradient.any())


def test_its_gradient_brings_realisations_together_or_moves_both_away() -> None:
    smooth = torch.zeros(1, 2)
    pair = torch.tensor([[1.0, 0.5], [1.0, -0.5]], requires_grad=True)
    (gradient,) = torch.autograd.grad(noise_realisation_ratio(smooth, pair[:1], pair[1:]), pair)
    assert float(gradient[0, 1]) > 0 > float(gradient[1, 1])  # together
    assert bool((gradient[:, 0] < 0).all())  # away from smooth

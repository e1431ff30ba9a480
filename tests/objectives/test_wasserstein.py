"""The gradient penalty in closed form, and draws that depend on the number of a sample alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowdose.objectives.wasserstein import gradient_penalty, mixing_weights


def images(count: int = 3, side: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """(real, fake, share)."""
    torch.manual_seed(0)
    return torch.rand(count, 1, side, side), torch.rand(count, 1, side, side), torch.rand(count, 1, 1, 1)


@pytest.mark.parametrize("norm", [0.0, 0.25, 1.0, 7.0])
def test_a_linear_critic_is_penalised_by_its_norm(norm: float) -> None:
    weights = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    weights = norm * weights / weights.norm()
    found = gradient_penalty(lambda x: (weights * x).sum(dim=(1, 2, 3)) + 5.0, *images())
    assert found.item() == pytest.approx((norm - 1) ** 2, rel=1e-5, abs=1e-6)


def test_the_norm_is_that_of_each_sample_over_all_pixels() -> None:
    # Samples with gradients of norm 3 and 1. Over the whole batch it would be sqrt(10); over one axis of 9 pixels, 1.
    slopes = torch.tensor([1.0, 1 / 3])[:, None, None, None]
    real, fake, share = images(2, 3)
    assert gradient_penalty(lambda x: (slopes * x).sum(dim=(1, 2, 3)), real, fake, share).item() == pytest.approx(2.0)


def test_the_gradient_is_taken_between_real_and_fake() -> None:
    real, fake = torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    for share in (0.0, 0.25, 1.0):
        # Of half the squared norm, the gradient is the image itself: 16 pixels of the value 'share'.
        found = gradient_penalty(
            lambda x: 0.5 * x.square().sum(dim=(1, 2, 3)), real, fake, torch.full((2, 1, 1, 1), share)
        )
        assert found.item() == pytest.approx((4 * share - 1) ** 2, abs=1e-6)


def test_it_trains_the_critic_and_not_the_images() -> None:
    real, fake, share = images()
    fake.requires_grad_(True)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    gradient_penalty(critic, real, fake, share).backward()
    assert fake.grad is None
    assert critic[1].weight.grad is not None
    assert bool(critic[1].weight.grad.any())


def test_shares_are_uniform_and_those_of_their_sample() -> None:
    shares = mixing_weights(torch.arange(10_000)).flatten()
    assert shares.dtype == torch.float32
    assert 0 <= shares.min().item() < shares.max().item() <= 1
    counts = torch.histc(shares, bins=20, min=0, max=1)
    assert bool((counts - 500).abs().max() <= 3)
    assert torch.equal(mixing_weights(torch.arange(700, 900)).flatten(), shares[700:900])
    late = mixing_weights(torch.arange(10**10, 10**10 + 1000)).flatten()
    assert bool((torch.histc(late, bins=10, min=0, max=1) - 100).abs().max() <= 3)

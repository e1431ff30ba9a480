"""Divergence from white noise, against PyTorch's own."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from lowdose.objectives.latent_normal import kl_to_standard_normal


def test_it_is_that_of_pytorch_summed_over_variables_and_never_negative() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(3, 2, 5, 4), torch.randn(3, 2, 5, 4)
    expected = kl_divergence(Normal(mean, torch.exp(log_variance / 2)), Normal(0.0, 1.0)).sum() / 3
    found = kl_to_standard_normal(mean, log_variance)
    torch.testing.assert_close(found, expected)
    assert found > 0


def test_it_is_zero_for_the_standard_normal_distribution_alone() -> None:
    zero = torch.zeros(2, 3, 4, 4)
    assert kl_to_standard_normal(zero, zero) == 0
    for mean, log_variance in ((zero + 0.01, zero), (zero, zero + 0.01), (zero, zero - 0.01)):
        assert kl_to_standard_normal(mean, log_variance) > 0

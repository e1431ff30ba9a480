"""Least-squares GAN of a denoiser: its terms, and that each turn moves one side only."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.least_squares_gan import LeastSquaresGAN
from lowdose.network_spec import NetworkSpec
from lowdose.networks.critic import patch_critic
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives import L1


def method(weight: float = 2.0) -> LeastSquaresGAN:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("res_hlf", {"channels": 4}), Scale())
    nn.init.normal_(denoiser.network.out.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    return LeastSquaresGAN(denoiser, patch_critic(16, 4), L1(), weight)


def batch() -> PairedBatch:
    generator = torch.Generator().manual_seed(1)
    full = 100 * torch.randn(3, 1, 16, 16, generator=generator)
    return PairedBatch(full + 30 * torch.randn(full.shape, generator=generator), full, number=torch.arange(3))


def test_terms_written_out() -> None:
    learner, pair = method(), batch()
    critic, denoiser = learner.updates(pair)
    assert (critic.module, denoiser.module) == ("critic", "denoiser")
    with torch.no_grad():
        denoised = learner.denoiser.scale.decode(learner.denoiser(learner.denoiser.scale.encode(pair.low)))
        real, fake = (learner.critic(OBJECTIVE.encode(image))[:, 0].tolist() for image in (pair.full, denoised))
    expected = {"full": sum((s - 1) ** 2 for s in real) / 3, "denoised": sum(s**2 for s in fake) / 3}
    assert {name: value.item() for name, value in critic.terms.items()} == pytest.approx(expected, rel=1e-4)
    assert set(denoiser.terms) == {"adversarial", "l1"}
    assert denoiser.terms["adversarial"].item() == pytest.approx(2 * sum((s - 1) ** 2 for s in fake) / 3, rel=1e-4)
    assert denoiser.terms["l1"].item() == pytest.approx((denoised - pair.full).abs().mean().item() / 3000, rel=1e-4)


def test_a_turn_has_gradients_for_one_side_only() -> None:
    learner = method()
    updates = learner.updates(batch())
    assert not any(gradients(next(updates).terms, learner.denoiser))
    assert all(value is not None and bool(value.any()) for value in gradients(next(updates).terms, learner.denoiser))


def gradients(terms: dict[str, Tensor], module: nn.Module) -> list[Tensor | None]:
    return list(torch.autograd.grad(sum(terms.values()), list(module.parameters()), allow_unused=True))


def test_the_weight_is_that_of_the_score_alone() -> None:
    one, two = (list(method(weight).updates(batch()))[1].terms for weight in (1.0, 3.0))
    assert two["adversarial"].item() == pytest.approx(3 * one["adversarial"].item())
    assert two["l1"].item() == one["l1"].item()

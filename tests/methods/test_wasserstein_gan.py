"""Turns of critic and denoiser: who learns in which, from what, and the same on several processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import NON_NEGATIVE
from lowdose.methods.base import Update
from lowdose.methods.wasserstein_gan import WassersteinGAN
from lowdose.network_spec import NetworkSpec
from lowdose.networks.critic import patch_critic
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.pixel import MSE
from lowdose.training.hooks import TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.trainer import Trainer


def method(critic_turns: int = 4, penalty: float = 10.0) -> WassersteinGAN:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("wgan_vgg", {"channels": 4, "bias": False}), NON_NEGATIVE)
    return WassersteinGAN(denoiser, patch_critic(16, 4), MSE(), penalty, critic_turns)


def batch(count: int = 4, first: int = 0) -> PairedBatch:
    generator = torch.Generator().manual_seed(1)
    full = 100 * torch.randn(8, 1, 16, 16, generator=generator)
    low = full + 30 * torch.randn(8, 1, 16, 16, generator=generator)
    chosen = slice(first, first + count)
    return PairedBatch(low[chosen], full[chosen], number=torch.arange(8)[chosen])


def gradients(loss: Tensor, module: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(module.parameters())))


def test_the_denoiser_has_one_turn_in_four_steps() -> None:
    learner = method()
    turns = [[update.module for update in learner.updates(batch())] for _ in range(8)]
    assert turns == 2 * [["critic"], ["critic"], ["critic"], ["critic", "denoiser"]]
    assert learner.own_state()["turn"].item() == 8


def test_terms_are_those_of_the_paper() -> None:
    learner = method(critic_turns=1)
    critic, denoiser = learner.updates(batch())
    assert set(critic.terms) == {"wasserstein", "penalty"}
    assert set(denoiser.terms) == {"adversarial", "mse"}
    without = next(iter(method(penalty=0.0).updates(batch())))
    assert without.terms["penalty"].item() == 0
    halved = next(iter(method(penalty=5.0).updates(batch())))
    assert critic.terms["penalty"].item() == pytest.approx(2 * halved.terms["penalty"].item())
    same = batch()._replace(low=batch().full)
    zero = nn.init.zeros_
    for layer in learner.critic.parameters():
        zero(layer)  # a critic that says nothing has the gradient 0, whose distance from 1 is penalised
    blind = next(iter(learner.updates(same)))
    assert (blind.terms["wasserstein"].item(), blind.terms["penalty"].item()) == (0.0, 10.0)


def test_no_turn_has_a_gradient_for_the_other_side() -> None:
    learner = method(critic_turns=1)
    updates = learner.updates(batch())
    critic = next(updates)
    assert not any(torch.autograd.grad(sum(critic.terms.values()), list(learner.denoiser.parameters()),
                                       allow_unused=True, retain_graph=True))  # fmt: skip
    assert all(bool(g.isfinite().all()) for g in gradients(sum(critic.terms.values()), learner.critic))
    denoiser = next(updates)
    assert any(bool(g.any()) for g in gradients(denoiser.terms["adversarial"], learner.denoiser))


def test_two_halves_of_a_batch_have_the_gradients_of_the_whole() -> None:
    # What two processes do: the draws of the penalty belong to the samples, wherever these are.
    found = []
    for parts in ([batch(4)], [batch(2, 0), batch(2, 2)]):
        learner = method(critic_turns=1)
        sums: list[list[Tensor]] = []
        for part in parts:
            updates = learner.updates(part)
            critic = gradients(sum(next(updates).terms.values()), learner.critic)
            denoiser = gradients(sum(next(updates).terms.values()), learner.denoiser)
            sums.append([*critic, *denoiser])
        found.append([torch.stack(values).mean(0) for values in zip(*sums, strict=True)])
    for whole, halves in zip(*found, strict=True):
        torch.testing.assert_close(whole, halves, rtol=1e-4, atol=1e-6)


def test_the_critic_computes_in_full_precision() -> None:
    exact = next(iter(method().updates(batch())))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        learner = method()
        # The denoiser's own images differ by bf16, the critic's arithmetic does not: with the same images it is equal.
        low = next(iter(learner.updates(batch())))
        assert learner.critic(torch.rand(1, 1, 16, 16)).dtype == torch.bfloat16
    assert low.terms["penalty"].dtype == torch.float32
    torch.testing.assert_close(low.terms["penalty"], exact.terms["penalty"], rtol=1e-3, atol=1e-4)


class Watched(WassersteinGAN):
    """Compares the bytes of both sides before and after each update."""

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        for update in super().updates(batch):
            before = {name: stored(module) for name, module in self.trained_modules().items()}
            yield update
            changed = {name for name, module in self.trained_modules().items() if stored(module) != before[name]}
            assert changed == {update.module}


def stored(module: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in module.state_dict().values())


def test_a_turn_changes_the_bytes_of_one_side_only(tmp_path: Path) -> None:
    made = method(critic_turns=2)
    watched = Watched(made.denoiser, made.critic, made.content, made.penalty, made.critic_turns)
    batches = TrainerHooks(lambda first, last: (batch() for _ in range(first, last)), dict, lambda: None,
                           lambda *_: None, lambda: False)  # fmt: skip
    running = Trainer(Fabric(accelerator="cpu", devices=1), watched, Hyperparameters(steps=4, warmup=0), tmp_path)
    assert running.fit({}, batches)
    assert {name: type(module.optimiser).__name__ for name, module in running.modules.items()} == {
        "denoiser": "Adam",
        "critic": "Adam",
    }

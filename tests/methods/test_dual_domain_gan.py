"""Turns of both discriminators and the denoiser: terms in closed form, who learns from what, and several processes."""

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
from lowdose.methods.dual_domain_gan import UNIT, DualDomainGAN, DualDomainWeights
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.unet_discriminator import UNetDiscriminator
from lowdose.training.hooks import TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.trainer import Trainer

ALWAYS = DualDomainWeights(cutmix=1.0, cutmix_ramp=0)
NAMES = ["image_critic", "gradient_critic", "denoiser"]


def method(weights: DualDomainWeights = ALWAYS, domains: tuple[str, ...] = ("image", "gradient")) -> DualDomainGAN:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("du_gan", {"channels": 4, "kernel": 3}), NON_NEGATIVE)
    return DualDomainGAN(denoiser, {name: UNetDiscriminator(4, 2) for name in domains}, 1e-3, weights)


def batch(count: int = 4, first: int = 0) -> PairedBatch:
    generator = torch.Generator().manual_seed(1)
    full = 100 * torch.randn(8, 1, 16, 16, generator=generator)
    low = full + 30 * torch.randn(8, 1, 16, 16, generator=generator)
    chosen = slice(first, first + count)
    return PairedBatch(low[chosen], full[chosen], number=torch.arange(1, 9)[chosen])


def gradients(update: Update, module: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(sum(update.terms.values()), list(module.parameters()), allow_unused=True))  # type: ignore[arg-type]


class Constant(nn.Module):
    """A discriminator that gives every image and every pixel the same score."""

    def __init__(self, score: float, of_pixels: float) -> None:
        super().__init__()
        self.score, self.of_pixels = (nn.Parameter(torch.tensor(value)) for value in (score, of_pixels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.score.expand(len(x), 1), self.of_pixels.expand_as(x)


def test_each_step_has_a_turn_of_each() -> None:
    learner = method()
    assert [[update.module for update in learner.updates(batch())] for _ in range(2)] == 2 * [NAMES]
    assert learner.own_state()["turn"].item() == 2
    assert list(method(domains=("image",)).trained_modules()) == ["denoiser", "image_critic"]


def test_losses_in_closed_form() -> None:
    learner = method()
    learner.discriminators = nn.ModuleDict({"image": Constant(0.5, 3.0), "gradient": Constant(1.0, 1.0)})
    image, gradient, denoiser = learner.updates(batch())
    terms = {name: value.item() for name, value in image.terms.items()}
    # The score of an image and that of its pixels count the same: (s - 1)^2 + (p - 1)^2 for full dose, s^2 + p^2 else.
    assert (terms["full"], terms["denoised"], terms["low"]) == (4.25, 9.25, 9.25)
    assert terms["consistency"] == pytest.approx(0, abs=1e-9)
    assert 0.25 + 4 < terms["cutmix"] < 9.25  # some pixels of a mixture are real
    assert gradient.terms["full"].item() == 0
    found = {name: value.item() for name, value in denoiser.terms.items()}
    assert found["image_adversarial"] == pytest.approx(0.1418 * 4.25)
    assert found["gradient_adversarial"] == 0
    with torch.no_grad():
        clean = learner.denoiser.scale.decode(learner.denoiser(learner.denoiser.scale.encode(batch().low)))
    error = (UNIT.encode(clean) - UNIT.encode(batch().full)).square().mean().item()
    assert found["mse"] == pytest.approx(5.034 * error, rel=1e-4)


def test_full_dose_denoised_to_itself_costs_only_the_scores() -> None:
    learner = method()
    for parameter in learner.denoiser.parameters():
        nn.init.zeros_(parameter)  # what is left is the skip from the input
    same = batch()._replace(low=batch().full)
    *_, denoiser = learner.updates(same)
    assert denoiser.terms["mse"].item() == pytest.approx(0, abs=1e-9)
    assert denoiser.terms["sobel"].item() == pytest.approx(0, abs=1e-5)
    assert denoiser.terms["image_adversarial"].item() > 0


def test_cutmix_rises_with_the_steps() -> None:
    learner = method(DualDomainWeights(cutmix=1.0, cutmix_ramp=10**6))
    assert next(iter(learner.updates(batch()))).terms["cutmix"].item() == 0
    learner.turn += 10**6
    assert next(iter(learner.updates(batch()))).terms["cutmix"].item() > 0


def test_no_turn_has_a_gradient_for_another_side() -> None:
    learner = method()
    for update in learner.updates(batch()):
        # The denoiser's turn has one for the discriminators, too; the trainer leaves it out (a test below).
        others = {name: module for name, module in learner.trained_modules().items() if name != update.module}
        if update.module != "denoiser":
            total = sum(update.terms.values())
            for module in others.values():
                assert not any(
                    torch.autograd.grad(total, list(module.parameters()), allow_unused=True, retain_graph=True)
                )
        assert any(bool(g.any()) for g in gradients(update, learner.trained_modules()[update.module]) if g is not None)


def test_with_the_image_alone_there_is_nothing_for_the_gradient() -> None:
    learner = method(domains=("image",))
    assert [update.module for update in learner.updates(batch())] == ["image_critic", "denoiser"]
    *_, denoiser = learner.updates(batch())
    assert set(denoiser.terms) == {"mse", "sobel", "image_adversarial"}


def test_two_halves_of_a_batch_have_the_gradients_of_the_whole() -> None:
    # What two processes do: boxes of CutMix belong to the samples, wherever these are.
    found = []
    for parts in ([batch(4)], [batch(2, 0), batch(2, 2)]):
        sums: list[list[Tensor]] = []
        for part in parts:
            learner = method(DualDomainWeights(cutmix=0.5, cutmix_ramp=0))
            sums.append([
                gradient
                for update in learner.updates(part)
                for gradient in gradients(update, learner.trained_modules()[update.module])
                if gradient is not None
            ])  # fmt: skip
        found.append([torch.stack(values).mean(0) for values in zip(*sums, strict=True)])
    for whole, halves in zip(*found, strict=True):
        torch.testing.assert_close(whole, halves, rtol=1e-4, atol=1e-6)


class Watched(DualDomainGAN):
    """Compares the bytes of all sides before and after each update."""

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        before = {name: stored(module) for name, module in self.trained_modules().items()}
        for update in super().updates(batch):
            yield update
            after = {name: stored(module) for name, module in self.trained_modules().items()}
            assert {name for name in after if after[name] != before[name]} == {update.module}
            before = after


def stored(module: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in module.state_dict().values())


def test_a_turn_changes_the_bytes_of_one_side_only(tmp_path: Path) -> None:
    made = method()
    watched = Watched(made.denoiser, dict(made.discriminators.items()), 1e-3, ALWAYS)
    hooks = TrainerHooks(lambda first, last: (batch() for _ in range(first, last)), dict, lambda: None,
                         lambda *_: None, lambda: False)  # fmt: skip
    running = Trainer(Fabric(accelerator="cpu", devices=1), watched, Hyperparameters(steps=3, warmup=0), tmp_path)
    assert running.fit({}, hooks)
    rates = {name: (type(m.optimiser).__name__, m.optimiser.defaults["lr"]) for name, m in running.modules.items()}
    assert {name for name, (rule, _) in rates.items() if rule == "Adam"} == set(NAMES)

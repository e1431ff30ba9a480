"""Turns of MAC-Net and the denoiser: who learns from what, who follows, and losses in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import Scale
from lowdose.methods.anatomical_contrast import AnatomicalContrast, direction_error
from lowdose.methods.base import Update
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.pixel import MSE
from lowdose.training.hooks import TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.trainer import Trainer


def method(weight: float = 0.1) -> AnatomicalContrast:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("esau_net", {"width": 8}), Scale())
    return AnatomicalContrast(denoiser, 4, 10.0 * MSE(), weight, 0.5)


def batch() -> PairedBatch:
    generator = torch.Generator().manual_seed(1)
    full = 100 * torch.randn(2, 1, 48, 64, generator=generator)
    return PairedBatch(full + 30 * torch.randn(2, 1, 48, 64, generator=generator), full, number=torch.tensor([4, 5]))


def total(update: Update) -> Tensor:
    return torch.stack(list(update.terms.values())).sum()


def stored(module: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in module.state_dict().values())


def test_mac_net_has_the_first_turn_and_the_momentum_network_follows_it() -> None:
    learner = method()
    updates = learner.updates(batch())
    first = next(updates)
    assert (first.module, set(first.terms)) == ("mac_net", {"patches", "pixels"})
    before = deepcopy(learner.target)
    with torch.no_grad():
        for parameter in learner.mac_net.parameters():
            parameter += 1
    second = next(updates)
    assert (second.module, set(second.terms)) == ("denoiser", {"mse", "patches", "pixels"})
    for ours, old, theirs in zip(*(m.parameters() for m in (learner.target, before, learner.mac_net)), strict=True):
        torch.testing.assert_close(ours, 0.99 * old + 0.01 * theirs)
    assert list(updates) == []


def test_the_weights_of_the_losses() -> None:
    learner = method(weight=0.1)
    images = batch()
    mac_net, denoiser = learner.updates(images)  # without a step between them, but for running statistics
    for name in ("patches", "pixels"):
        assert denoiser.terms[name].item() == pytest.approx(0.1 * mac_net.terms[name].item(), rel=1e-4)
    assert 0 < mac_net.terms["patches"].item() <= 2
    assert 0 < mac_net.terms["pixels"].item() < math.log(1 + 24 * math.exp(2)) / 2


def test_no_turn_has_a_gradient_for_another_side_and_the_momentum_network_none_at_all() -> None:
    learner = method()
    first, second = learner.updates(batch())
    assert not any(p.requires_grad for p in learner.target.parameters())
    denoiser = list(learner.denoiser.parameters())
    assert not any(torch.autograd.grad(total(first), denoiser, allow_unused=True, retain_graph=True))
    for name in ("patches", "pixels"):
        gradients = torch.autograd.grad(second.terms[name], denoiser, retain_graph=True)
        assert any(bool(gradient.any()) for gradient in gradients)


def test_patches_of_the_same_image_agree_without_a_predictor() -> None:
    learner = method()
    learner.predictor = nn.Identity()  # type: ignore[assignment]
    image = torch.rand(2, 1, 48, 64)
    terms = learner.contrast(image, image, torch.tensor([0, 1]))
    assert terms["patches"].item() == pytest.approx(0, abs=1e-5)
    assert learner.contrast(image, image.flip(2), torch.tensor([0, 1]))["patches"].item() > 1e-3


def test_an_even_image_has_nothing_to_tell_pixels_by() -> None:
    learner = method().eval()  # with running statistics, or the padding at the border would be seen
    for layer in learner.target.project_local, learner.mac_net.project_local:
        nn.init.zeros_(layer[0].weight)  # one feature everywhere
    even = torch.full((1, 1, 48, 48), 0.4)
    terms = learner.contrast(even, even, torch.tensor([0]))
    assert terms["pixels"].item() == pytest.approx(math.log(25), rel=1e-5)


def test_directions_in_closed_form() -> None:
    ours = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0]])
    theirs = torch.tensor([[5.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert direction_error(ours, theirs).item() == pytest.approx((0 + 2 + 4) / 3)


class Watched(AnatomicalContrast):
    """Compares the bytes of both sides before and after each update."""

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        for update in super().updates(batch):
            before = {name: stored(module) for name, module in self.trained_modules().items()}
            yield update
            changed = {name for name, module in self.trained_modules().items() if stored(module) != before[name]}
            assert changed == {update.module}


def test_a_turn_changes_the_bytes_of_one_side_only(tmp_path: Path) -> None:
    made = method()
    watched = Watched(made.denoiser, 4, made.content, made.weight, 0.5)
    hooks = TrainerHooks(lambda first, last: (batch() for _ in range(first, last)), dict, lambda: None,
                         lambda *_: None, lambda: False)  # fmt: skip
    running = Trainer(Fabric(accelerator="cpu", devices=1), watched, Hyperparameters(steps=2, warmup=0), tmp_path)
    assert running.fit({}, hooks)
    made_of = {name: type(module.optimiser).__name__ for name, module in running.modules.items()}
    assert made_of == {"denoiser": "AdamW", "mac_net": "SGD"}
    settings = running.modules["mac_net"].optimiser.defaults
    assert (settings["momentum"], settings["weight_decay"]) == (0, 0)


def test_the_denoisers_turn_leaves_the_running_statistics() -> None:
    learner = method()
    updates = learner.updates(batch())
    next(updates)
    before = stored(learner.mac_net)
    next(updates)
    assert stored(learner.mac_net) == before
    assert all(part.track_running_stats for part in learner.mac_net.modules() if isinstance(part, nn.BatchNorm2d))

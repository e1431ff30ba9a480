"""Every adversarial recipe as a run: it resumes exactly, takes any network, says what it learns from, and learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lowdose.batch import PairedBatch
from lowdose.network_spec import NETWORKS, constructor_defaults
from lowdose.networks.denoiser import Denoiser
from lowdose.training import runner
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.trainer import STATE_FILE
from support.adversarial_runs import gain_on_one_pair, small_adversarial
from support.training_runs import EXACT, StopAfter, assert_same, train

WASSERSTEIN = {"critic_width": 4, "critic_turns": 2}
DU_GAN = {"discriminator_width": 4, "discriminator_levels": 2, "cutmix_ramp": 2}
RECIPES: dict[str, tuple[str, dict[str, float], set[str]]] = {
    "cpce": ("cpce:channels=4,slices=3", WASSERSTEIN, {"critic"}),
    "du_gan": ("du_gan:channels=4", DU_GAN, {"image_critic", "gradient_critic"}),
    "map_nn": ("map_nn:channels=4,depth=2", WASSERSTEIN, {"critic"}),
    "res_hlf": ("res_hlf:channels=4", {"critic_width": 4}, {"critic"}),
    "smgan": ("smgan:channels=4,slices=3", WASSERSTEIN | {"scales": 2}, {"critic"}),
    "wgan_vgg": ("wgan_vgg:channels=4", WASSERSTEIN, {"critic"}),
}
"""Small network, small settings and names of the critics of each recipe."""
TERMS = {
    "cpce": {"critic/wasserstein", "critic/penalty", "denoiser/adversarial", "denoiser/perceptual"},
    "res_hlf": {"critic/full", "critic/denoised", "denoiser/adversarial", "denoiser/ssim", "denoiser/l1"},
    "smgan": {"critic/wasserstein", "critic/penalty", "denoiser/adversarial", "denoiser/ms_ssim", "denoiser/l1"},
}
SIZES = ("channels", "width")


def small(name: str) -> DenoiserRecipe:
    network, settings, _ = RECIPES[name]
    return small_adversarial(name, network, **settings, steps=4)


@pytest.mark.parametrize("name", RECIPES)
def test_resumed_equals_uninterrupted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(small(name), tmp_path / "whole")
    # Both in a pair of steps and between two pairs: who has the next turn is part of the state.
    for stop in (2, 1):
        monkeypatch.setattr(runner, "GracefulStop", StopAfter(stop))
        assert not train(small(name), tmp_path / "parts", replace(EXACT, resume=stop == 1))
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(small(name), tmp_path / "parts", replace(EXACT, resume=True))
    whole, parts = (torch.load(tmp_path / folder / STATE_FILE, weights_only=True) for folder in ("whole", "parts"))
    assert set(whole["modules"]) == {"denoiser"} | RECIPES[name][2]
    for key in ("modules", "ema", "optimisers", "buffers"):
        assert_same(whole[key], parts[key])
    logged = {row.split(",")[1] for row in (tmp_path / "whole" / "log.csv").read_text().splitlines()}
    assert TERMS.get(name, set()) <= logged


def choices(network: str) -> list[str]:
    """A small version of a network and, where it takes neighbours, one of three slices."""
    settings = constructor_defaults(NETWORKS[network])
    size = [f"{key}=8" for key in settings if key in SIZES]
    return [
        f"{network}:{','.join([*size, *slices])}"
        for slices in ([["slices=1"], ["slices=3"]] if "slices" in settings else [[]])
    ]


PAIRINGS = [
    pytest.param(network, name, marks=() if (place + number) % 3 == 0 else pytest.mark.long)
    for place, network in enumerate(sorted(NETWORKS))
    for number, name in enumerate(RECIPES)
]
"""Every network with every recipe; a third of them, in which each network and each recipe occurs, is not long."""


@pytest.mark.parametrize(("network", "name"), PAIRINGS)
def test_every_network_makes_its_method(network: str, name: str) -> None:
    for choice in choices(network):
        recipe = small_adversarial(name, choice, **{**RECIPES[name][1], **_without_features(name)})
        assert recipe.accepts_any_network
        denoiser = Denoiser(recipe.network, recipe.scale, recipe.context)
        method = recipe.method(denoiser, recipe.hyperparameters, recipe.teachers)
        images = 100 * torch.randn(2, 2, 2 * denoiser.context + 1, 32, 32)
        batch = PairedBatch(images[0], images[1][:, :1], number=torch.arange(2))
        turns = [update for _ in range(2) for update in method.updates(batch)]
        assert {update.module for update in turns} == {"denoiser"} | RECIPES[name][2]
        assert all(bool(value.isfinite()) for update in turns for value in update.terms.values())


def _without_features(name: str) -> dict[str, float]:
    return {"perceptual_weight": 0} if name in ("cpce", "wgan_vgg") else {}


LEARNING = {
    # With the weight 0.1 of the paper the critic alone decides in so few steps.
    "cpce": (
        "cpce",
        {"critic_width": 8, "steps": 400, "critic_turns": 1, "perceptual_weight": 1.0, "learning_rate": 5e-4},
    ),
    "du_gan": ("du_gan", {"steps": 400, "discriminator_width": 8, "cutmix_ramp": 100, "learning_rate": 1e-3}),
    "res_hlf": ("res_hlf", {"critic_width": 8, "steps": 900, "learning_rate": 1e-3}),
    "smgan": (
        "smgan:channels=8,slices=1",
        {"critic_width": 8, "steps": 220, "critic_turns": 1, "scales": 3, "learning_rate": 1e-3},
    ),
    "wgan_vgg": ("wgan_vgg", {"steps": 1000, "critic_width": 16, "critic_turns": 4, "learning_rate": 5e-4}),
}


@pytest.mark.long
@pytest.mark.parametrize("name", LEARNING)
def test_it_gains_10_db_on_a_pair(name: str, tmp_path: Path) -> None:
    network, changes = LEARNING[name]
    recipe = small_adversarial(name, network, **{
        **RECIPES[name][1], "batch": 1, "patch": 64, "warmup": 20, "ema": 0.99, "checkpoint_every": 10**6,
        "validate_every": 10**6, **changes, "final_learning_rate": 0.01 * changes["learning_rate"],
    })  # fmt: skip
    assert gain_on_one_pair(recipe, tmp_path) > 10

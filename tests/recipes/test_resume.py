"""Recipes of several players are resumed exactly, and what a step remembers is part of the state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lowdose.training import runner
from lowdose.training.trainer import STATE_FILE
from support.adversarial_runs import small_adversarial
from support.training_runs import EXACT, StopAfter, assert_same, train

CASES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "wgan_vgg": ("wgan_vgg:channels=4", {"critic_width": 4, "critic_turns": 2}, {"denoiser", "critic"}),
    "map_nn": ("map_nn:channels=4,depth=2", {"critic_width": 4, "critic_turns": 2}, {"denoiser", "critic"}),
    "du_gan": (
        "du_gan:channels=4", {"discriminator_width": 4, "discriminator_levels": 2, "cutmix_ramp": 2},
        {"denoiser", "image_critic", "gradient_critic"},
    ),
    "ascon": ("unet:width=4,levels=2", {"mac_width": 4, "patch": 48}, {"denoiser", "mac_net", "target"}),
}  # fmt: skip


# Both in a pair of steps and between two pairs: who has the next turn is part of the state.
@pytest.mark.parametrize(
    ("name", "stop"), [("wgan_vgg", 2), ("wgan_vgg", 3), ("map_nn", 3), ("du_gan", 3), ("ascon", 3)]
)
def test_resumed_equals_uninterrupted(name: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, changes, modules = CASES[name]
    recipe = small_adversarial(name, network, **changes)
    assert train(recipe, tmp_path / "whole")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(stop))
    assert not train(recipe, tmp_path / "parts")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(recipe, tmp_path / "parts", replace(EXACT, resume=True))
    whole, parts = (torch.load(tmp_path / folder / STATE_FILE, weights_only=True) for folder in ("whole", "parts"))
    assert set(whole["modules"]) == modules
    for key in ("modules", "ema", "optimisers", "buffers"):
        assert_same(whole[key], parts[key])

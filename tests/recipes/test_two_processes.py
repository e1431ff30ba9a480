"""Adversarial recipes on two processes are those of one process with the doubled batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lowdose.training.runner import MODEL_FILE
from support.adversarial_runs import small_adversarial
from support.training_runs import train, train_on_two_processes

WASSERSTEIN = {"critic_width": 4, "critic_turns": 2}
CASES = {
    "alden": ("red_cnn:channels=4", {"patch": 64, "discriminator_width": 4}),
    "cpce": ("cpce:channels=4,slices=3", {**WASSERSTEIN, "perceptual_weight": 0}),
    "du_gan": ("du_gan:channels=4", {"discriminator_width": 4, "discriminator_levels": 2, "cutmix_ramp": 0}),
    "map_nn": ("map_nn:channels=4,depth=2", WASSERSTEIN),
    "res_hlf": ("res_hlf:channels=4", {"critic_width": 4}),
    "smgan": ("smgan:channels=4,slices=3", {**WASSERSTEIN, "scales": 2}),
    "wgan_vgg": ("wgan_vgg:channels=4", {**WASSERSTEIN, "perceptual_weight": 0}),
}


LONG = ("cpce", "map_nn", "smgan")
"""Recipes whose method is that of wgan_vgg, with other networks and losses."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in sorted(CASES)]
)
def test_two_processes_equal_one_with_the_doubled_batch(name: str, tmp_path: Path) -> None:
    network, changes = CASES[name][0], {**CASES[name][1], "steps": 4}
    recipe = small_adversarial(name, network, **changes, batch=4)
    assert train(recipe, tmp_path / "one")
    train_on_two_processes(f"small_adversarial({name!r}, {network!r}, **{changes})", tmp_path / "two")
    one, two = (load_file(tmp_path / folder / MODEL_FILE) for folder in ("one", "two"))
    moved = 0.0
    torch.manual_seed(recipe.hyperparameters.seed)
    start = recipe.network.build().state_dict()
    for key, value in one.items():
        # A tenth of one step of Adam, which makes much of the rounding of gradients next to zero.
        torch.testing.assert_close(value, two[key], atol=0.1 * recipe.hyperparameters.learning_rate, rtol=1e-3)
        moved = max(moved, (value - start[key]).abs().max().item())
    assert moved > recipe.hyperparameters.learning_rate

"""Recipes on two processes are those of one process with the doubled batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lowdose.training.runner import MODEL_FILE
from support.adversarial_runs import small_adversarial
from support.training_runs import small_recipe, train, train_on_two_processes

pytestmark = pytest.mark.slow
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


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs of all recipes on two processes."""
    folder = tmp_path_factory.mktemp("two")
    made = {
        name: f"small_adversarial({name!r}, {network!r}, **{changes}, steps=4)"
        for name, (network, changes) in CASES.items()
    }
    train_on_two_processes({**made, "unet": "small_recipe(batch=1, accumulate=2, steps=4)"}, folder)
    return folder


@pytest.mark.parametrize("name", [*CASES, "unet"])
def test_two_processes_equal_one_with_the_doubled_batch(name: str, on_two: Path, tmp_path: Path) -> None:
    network, changes = CASES.get(name, ("", {}))
    recipe = (
        small_adversarial(name, network, **changes, steps=4, batch=4) if network else small_recipe(steps=4, batch=4)
    )
    assert train(recipe, tmp_path)
    one, two = (load_file(folder / MODEL_FILE) for folder in (tmp_path, on_two / name))
    moved = 0.0
    torch.manual_seed(recipe.hyperparameters.seed)
    start = recipe.network.build().state_dict()
    for key, value in one.items():
        # A tenth of one step of Adam, which makes much of the rounding of gradients next to zero.
        torch.testing.assert_close(value, two[key], atol=0.1 * recipe.hyperparameters.learning_rate, rtol=1e-3)
        moved = max(moved, (value - start[key]).abs().max().item())
    assert moved > recipe.hyperparameters.learning_rate

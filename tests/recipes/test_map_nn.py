"""MAP-NN as a run: its loss is in the unit of the window, it takes any network, says what is missing, and learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowdose import recipes
from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE
from support.adversarial_runs import gain_on_one_pair, small_adversarial
from support.training_runs import train


def small(network: str = "map_nn:channels=4,depth=2", **changes: float) -> DenoiserRecipe:
    return small_adversarial("map_nn", network, **({"critic_width": 4, "critic_turns": 1} | changes))


@pytest.mark.parametrize(("low", "high"), [(-160.0, 240.0), (-1350.0, 150.0)])
def test_the_weights_are_those_of_the_paper_in_the_unit_of_its_window(low: float, high: float) -> None:
    recipe = small(window_low=low, window_high=high)
    method = recipe.method(Denoiser(recipe.network, recipe.scale), recipe.hyperparameters, {})
    full = 1500.0 + 100 * torch.rand(1, 1, 32, 32)  # far outside of both windows, and yet it counts
    slope = 3.0 * torch.arange(32.0).expand(1, 1, 32, 32)
    _, denoiser = method.updates(
        PairedBatch(full + slope, full, number=torch.tensor([0]))
    )  # an untrained one: identity
    unit = slope / (high - low)
    assert denoiser.terms["mse"].item() == pytest.approx(50 * unit.square().mean().item(), rel=1e-3)
    across = torch.full((32,), 24 / (high - low))  # a slope of 3 HU for each pixel; half of it at both borders
    across[[0, -1]] /= 2
    assert denoiser.terms["sobel"].item() == pytest.approx(50 * across.square().mean().item() / 2, rel=1e-3)


def test_any_network_is_trained_and_has_no_depth(tmp_path: Path) -> None:
    assert train(small("red_cnn:channels=4"), tmp_path)
    model = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE))
    assert (model.denoiser.spec, model.denoiser.at_inference) == (NetworkSpec("red_cnn", {"channels": 4}), {})
    assert (tmp_path / "critic.safetensors").exists()
    logged = {row.split(",")[1] for row in (tmp_path / "log.csv").read_text().splitlines()}
    assert {f"denoiser/{term}" for term in ("adversarial", "mse", "sobel")} < logged


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="window_low=300: must be below window_high=240"):
        small(window_low=300.0)


def test_published_hyperparameters() -> None:
    recipe = recipes.get_recipe("map_nn")
    found = recipe.hyperparameters
    assert recipe.network == NetworkSpec("map_nn", {"channels": 32, "depth": 5})  # type: ignore[union-attr]
    assert (found.batch, found.patch, found.critic_turns, found.penalty) == (128, 64, 4, 10)
    assert (found.learning_rate, found.beta1, found.beta2) == (1e-4, 0.9, 0.999)


@pytest.mark.long
@pytest.mark.parametrize(("network", "gain"), [("du_gan:channels=16", 10), ("map_nn:channels=16,depth=3", 3)])
def test_what_it_gains_on_a_pair(network: str, gain: float, tmp_path: Path) -> None:
    # An untrained MAP-NN is the identity: its gain is over the low-dose image, of others over random weights.
    recipe = small(
        network, steps=200, batch=1, patch=64, warmup=10, critic_width=8, ema=0.95,
        learning_rate=3e-3, final_learning_rate=2e-5, checkpoint_every=10**6, validate_every=10**6,
    )  # fmt: skip
    assert gain_on_one_pair(recipe, tmp_path) > gain

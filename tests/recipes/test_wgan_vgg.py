"""WGAN-VGG as a run: it takes any network and says what it looked with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE
from lowdose.weights.files import read_weights
from support.adversarial_runs import small_adversarial
from support.training_runs import train

SMALL = {"critic_width": 4, "critic_turns": 2}


def small(network: str = "wgan_vgg:channels=4", **changes: float) -> DenoiserRecipe:
    return small_adversarial("wgan_vgg", network, **(SMALL | changes))


def test_any_network_is_trained_and_the_features_are_named(tmp_path: Path) -> None:
    assert train(small("red_cnn:channels=4"), tmp_path)
    model = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE))
    assert model.denoiser.spec == NetworkSpec("red_cnn", {"channels": 4})
    assert json.loads((tmp_path / "run.json").read_text())["features"] == "anatomy"
    assert str(model.training["features"]).startswith("anatomy ")
    critic = read_weights(tmp_path / "critic.safetensors")
    assert critic.header["artefact"] == "critic"
    assert json.loads(critic.header["training"])["features"] == model.training["features"]
    logged = {row.split(",")[1] for row in (tmp_path / "log.csv").read_text().splitlines()}
    assert {f"critic/{term}" for term in ("wasserstein", "penalty")} < logged
    assert {f"denoiser/{term}" for term in ("adversarial", "perceptual")} < logged


def test_without_perceptual_loss_no_features_are_loaded(tmp_path: Path) -> None:
    recipe = small(perceptual_weight=0)
    assert (
        recipe.method(
            Denoiser(recipe.network, recipe.scale), recipe.hyperparameters, {"features": "gone"}
        ).fingerprint()
        == {}
    )
    with pytest.raises(InvalidSetting, match="patch=8: the objective needs at least"):
        train(small(patch=8), tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""WGAN-VGG as a run: it resumes exactly, takes any network, says what it looked with, and learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from lowdose import recipes
from lowdose.api import read
from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics import psnr
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.training import denoiser_run, runner
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.hooks import TrainerHooks
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.trainer import STATE_FILE, Trainer
from lowdose.weights.files import read_weights
from support.ct_pair import CT_PAIR
from support.training_runs import EXACT, StopAfter, assert_same, paired_slices

TINY = {
    "steps": 6, "batch": 2, "patch": 32, "warmup": 1, "validation_patients": 1, "validate_every": 3,
    "checkpoint_every": 2, "critic_width": 4, "critic_turns": 2,
}  # fmt: skip


def small(network: str = "wgan_vgg:channels=4", **changes: float) -> DenoiserRecipe:
    recipe, chosen = recipes.get_recipe("wgan_vgg"), parse_denoiser(network)
    assert isinstance(recipe, DenoiserRecipe)
    hyperparameters = replace(recipe.hyperparameters, **(TINY | changes))  # type: ignore[arg-type]
    return replace(recipe, network=chosen.network, scale=chosen.scale, hyperparameters=hyperparameters)


def train(recipe: DenoiserRecipe, folder: Path, options: RunOptions = EXACT) -> bool:
    return denoiser_run.train_denoiser(
        "wgan_vgg", recipe, paired_slices(), folder, options, lambda _: None, lambda *_: None
    )


@pytest.mark.parametrize("stop", [2, 3])
def test_resumed_equals_uninterrupted(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both in a pair of steps and between two pairs: who has the next turn is part of the state.
    assert train(small(), tmp_path / "whole")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(stop))
    assert not train(small(), tmp_path / "parts")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(small(), tmp_path / "parts", replace(EXACT, resume=True))
    whole, parts = (torch.load(tmp_path / name / STATE_FILE, weights_only=True) for name in ("whole", "parts"))
    assert set(whole["modules"]) == {"denoiser", "critic"}
    for key in ("modules", "ema", "optimisers", "buffers"):
        assert_same(whole[key], parts[key])


def test_any_network_is_trained_and_the_features_are_named(tmp_path: Path) -> None:
    assert train(small("red_cnn:channels=4"), tmp_path)
    model = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE))
    assert model.denoiser.spec == NetworkSpec("red_cnn", {"channels": 4})
    assert json.loads((tmp_path / "run.json").read_text())["features"] == "anatomy"
    assert str(model.training["features"]).startswith("anatomy ")
    critic = read_weights(tmp_path / "critic.safetensors")
    assert (critic.header["artefact"], critic.header["recipe"]) == ("critic", "wgan_vgg")
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


@pytest.mark.slow
def test_it_gains_10_db_on_a_pair(tmp_path: Path) -> None:
    low, full = (
        torch.from_numpy(np.array(read(folder).hu[3, 96:160, 96:160], np.float32))[None, None]
        for folder in (CT_PAIR.quarter, CT_PAIR.full)
    )
    recipe = small(
        "wgan_vgg", steps=1000, batch=1, patch=64, warmup=20, critic_width=16, critic_turns=4, ema=0.99,
        learning_rate=5e-4, final_learning_rate=5e-6, checkpoint_every=10**6, validate_every=10**6,
    )  # fmt: skip
    torch.manual_seed(0)
    denoiser = Denoiser(recipe.network, recipe.scale, stated_means_px=0)
    method = recipe.method(denoiser, recipe.hyperparameters, {"features": "anatomy"})

    def quality() -> float:
        clean, wanted = (SOFT_TISSUE.apply(image[0, 0].numpy()) for image in (denoiser.denoise(low), full))
        return psnr(clean, wanted, 1.0)

    before, after = quality(), list[float]()
    hooks = TrainerHooks(
        lambda first, last: (PairedBatch(low, full, number=torch.tensor([step])) for step in range(first, last)),
        dict, lambda: after.append(quality()), lambda *_: None, lambda: False,
    )  # fmt: skip
    fabric = Fabric(accelerator="cpu", devices=1)
    assert Trainer(fabric, method, recipe.hyperparameters, tmp_path).fit({}, hooks)
    assert after[-1] > before + 10

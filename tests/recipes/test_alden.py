"""ALDEN as a run: each part can be switched off, it resumes exactly, it goes with LEDA, and it learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.methods.anatomy_gan import AnatomyAwareGAN
from lowdose.methods.supervised import Supervised
from lowdose.models import checkpoint
from lowdose.networks.denoiser import Denoiser
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE
from lowdose.weights.files import read_weights
from support.adversarial_runs import gain_on_one_pair, small_adversarial
from support.training_runs import modules_of_an_interrupted_run

SMALL = {"patch": 64, "discriminator_width": 4}


def small(network: str = "red_cnn:channels=4", **changes: float) -> DenoiserRecipe:
    return small_adversarial("alden", network, **(SMALL | changes))


def method_of(recipe: DenoiserRecipe) -> AnatomyAwareGAN | Supervised:
    made = recipe.method(Denoiser(recipe.network, recipe.scale), recipe.hyperparameters, recipe.teachers)
    assert isinstance(made, (AnatomyAwareGAN, Supervised))
    return made


def batch(side: int = 64) -> PairedBatch:
    low, full = 100 * torch.randn(2, 2, 1, side, side, generator=torch.Generator().manual_seed(0))
    return PairedBatch(low, full, number=torch.arange(2))


def terms(method: AnatomyAwareGAN | Supervised, side: int = 64) -> dict[str, set[str]]:
    return {update.module: set(update.terms) for update in method.updates(batch(side))}


def test_each_term_is_logged_and_each_part_can_be_switched_off() -> None:
    whole = {"mse", "semantic_contrast", "adversarial"}
    assert terms(method_of(small())) == {"discriminator": {"hinge"}, "denoiser": whole}
    plain = method_of(small(anatomy_aware=0))
    assert isinstance(plain, AnatomyAwareGAN)
    assert not plain.discriminator.fusions
    assert terms(plain)["denoiser"] == whole
    assert terms(method_of(small(contrast_weight=0)))["denoiser"] == {"mse", "adversarial"}
    assert terms(method_of(small(adversarial_weight=0))) == {"denoiser": {"mse", "semantic_contrast"}}
    assert terms(method_of(small(adversarial_weight=0, contrast_weight=0))) == {"denoiser": {"mse"}}
    with pytest.raises(InvalidSetting, match="nothing ties the result to the input"):
        method_of(small(mse_weight=0, contrast_weight=0))


@pytest.mark.slow
def test_it_goes_with_leda() -> None:
    found = terms(method_of(small(leda_weight=0.5, patch=128)), 128)["denoiser"]
    assert found == {"mse", "semantic_contrast", "leda_continuous", "leda_discrete", "adversarial"}


def test_a_turn_leaves_the_other_side_and_the_vision_model_alone() -> None:
    method = method_of(small())
    assert isinstance(method, AnatomyAwareGAN)
    frozen = {key: value.clone() for key, value in method.features.state_dict().items()}
    for update in method.updates(batch()):
        side = {"discriminator": method.discriminator, "denoiser": method.denoiser}[update.module]
        method.zero_grad()
        sum(update.terms.values()).backward()  # type: ignore[union-attr]
        touched = {name for name, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        own = {f"{update.module}.{name}" for name, _ in side.named_parameters()}
        assert touched & own
        if update.module == "discriminator":
            assert touched <= own
    assert all(torch.equal(value, frozen[key]) for key, value in method.features.state_dict().items())
    assert not any(parameter.requires_grad for parameter in method.features.parameters())


def test_the_denoisers_turn_leaves_the_spectral_norms_alone() -> None:
    method = method_of(small())
    assert isinstance(method, AnatomyAwareGAN)
    updates = method.updates(batch())
    next(updates)
    before = {key: value.clone() for key, value in method.discriminator.state_dict().items()}
    next(updates)
    assert all(torch.equal(value, before[key]) for key, value in method.discriminator.state_dict().items())
    assert method.discriminator.training


def test_resumed_equals_uninterrupted_and_the_discriminator_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = modules_of_an_interrupted_run(small(), tmp_path, monkeypatch)
    assert modules == {"denoiser", "discriminator"}
    header = read_weights(tmp_path / "whole" / "discriminator.safetensors").header
    model = checkpoint.load_denoiser(str(tmp_path / "whole" / MODEL_FILE))
    assert json.loads(header["training"])["features"] == model.training["features"]
    assert str(model.training["features"]).startswith("anatomy ")
    assert "reconstruction" in str(model.training["paper"])


@pytest.mark.long
def test_it_gains_10_db_on_a_pair(tmp_path: Path) -> None:
    recipe = small(
        "red_cnn:channels=16", steps=250, batch=1, warmup=20, discriminator_width=8, ema=0.98, learning_rate=2e-3,
        final_learning_rate=2e-5, checkpoint_every=10**6, validate_every=10**6,
    )  # fmt: skip
    assert gain_on_one_pair(recipe, tmp_path) > 10

"""DU-GAN as a run: it takes any network and refuses what cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowdose import recipes
from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE
from lowdose.training.trainer import STATE_FILE
from support.adversarial_runs import small_adversarial
from support.training_runs import train

SMALL = {"discriminator_width": 4, "discriminator_levels": 2, "cutmix_ramp": 2}


def small(network: str = "du_gan:channels=4", **changes: float) -> DenoiserRecipe:
    return small_adversarial("du_gan", network, **(SMALL | changes))


def test_any_network_is_trained_and_the_averaged_weights_are_the_model(tmp_path: Path) -> None:
    assert train(small("red_cnn:channels=4"), tmp_path)
    model = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE))
    assert model.denoiser.spec == NetworkSpec("red_cnn", {"channels": 4})
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    trained = {name.removeprefix("network."): value for name, value in state["modules"]["denoiser"].items()}
    for name, value in model.denoiser.network.state_dict().items():
        assert torch.equal(value, state["ema"][name])
        assert not torch.equal(value, trained[name])
    logged = {row.split(",")[1] for row in (tmp_path / "log.csv").read_text().splitlines()}
    terms = ("full", "denoised", "low", "cutmix", "consistency")
    assert {f"{domain}_critic/{term}" for domain in ("image", "gradient") for term in terms} < logged
    assert {f"denoiser/{term}" for term in ("mse", "sobel", "image_adversarial", "gradient_adversarial")} < logged


def test_what_cannot_work_is_refused_in_a_line_and_leaves_nothing(tmp_path: Path) -> None:
    cases = {
        "patch=32: a discriminator of 6 levels needs a multiple of 64 pixels; take patch=64, or discriminator_levels=5":
            small(discriminator_levels=6),
        "patch=100: .* take patch=96, or discriminator_levels=2": small(patch=100, discriminator_levels=5),
    }  # fmt: skip
    for reason, recipe in cases.items():
        with pytest.raises(InvalidSetting, match=reason):
            train(recipe, tmp_path / "run")
    with pytest.raises(InvalidSetting, match="no network 'unknown' to denoise with"):
        parse_denoiser("unknown")
    assert train(small("unet:width=4,levels=2", steps=1), tmp_path / "other")
    with pytest.raises(InvalidSetting, match=r"holds .*unet.*, this run trains .*du_gan"):
        train(small(), tmp_path / "run", start=tmp_path / "other" / MODEL_FILE)
    assert not (tmp_path / "run").exists()


def test_published_hyperparameters() -> None:
    found = recipes.get_recipe("du_gan").hyperparameters
    assert (found.discriminator_width, found.discriminator_levels, found.batch, found.patch) == (64, 6, 64, 64)
    assert (found.learning_rate, found.discriminator_learning_rate, found.ema) == (1.81e-4, 7.12e-5, 0.999)

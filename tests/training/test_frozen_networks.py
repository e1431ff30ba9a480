"""Recipes whose objective uses a frozen network: any denoiser, the same network on resuming, none at weight 0."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lowdose import recipes
from lowdose.data.pairs import PairedSlice
from lowdose.errors import InvalidSetting
from lowdose.language import autoencoder_file
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.models import checkpoint
from lowdose.training import denoiser_run
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.trainer import STATE_FILE
from support.scanned_patients import scan
from support.tiny_word_autoencoder import hash_of, loaded

EXACT = RunOptions(device="cpu", precision="32-true")
RESUME = replace(EXACT, resume=True)
TINY = {
    "steps": 3, "batch": 2, "patch": 32, "warmup": 1, "validation_patients": 1, "validate_every": 3,
    "checkpoint_every": 1, "learning_rate": 1e-3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def autoencoders(monkeypatch: pytest.MonkeyPatch) -> list[LanguageGuidedAutoencoder]:
    """Every autoencoder that was loaded, in the place of real ones; one called 'other' has other weights."""
    found: list[LanguageGuidedAutoencoder] = []

    def load(name: str) -> LanguageGuidedAutoencoder:
        found.append(loaded(int(name == "other")))
        return found[-1]

    monkeypatch.setattr(autoencoder_file, "load_autoencoder", load)
    return found


def items() -> list[PairedSlice]:
    result = []
    for patient in range(3):
        low, full = (volume.hu[0] for volume in scan(patient))
        result.append(PairedSlice(patient, f"{patient}", 3.0, 3.0, lambda low=low, full=full: (low, full)))
    return result


def small(name: str, network: str = "unet:width=4,levels=2", **changes: float) -> DenoiserRecipe:
    recipe, chosen = recipes.get_recipe(name), parse_denoiser(network)
    assert isinstance(recipe, DenoiserRecipe)
    hyperparameters = replace(recipe.hyperparameters, **(TINY | changes))  # type: ignore[arg-type]
    # What a training says of its teacher is tests/evaluation/test_digital_texture.py's.
    return replace(
        recipe, network=chosen.network, scale=chosen.scale, hyperparameters=hyperparameters, remarks=lambda *_: ()
    )


def go(recipe: DenoiserRecipe, folder: Path, options: RunOptions = EXACT, start: Path | None = None) -> bool:
    return denoiser_run.train_denoiser(
        "test", recipe, items(), folder, options, lambda _: None, lambda *_: None, start=start
    )


@pytest.mark.parametrize(
    "network", ["red_cnn:channels=4", "esau_net:width=4", "unet:width=4,levels=2", "cpce:channels=4"]
)
def test_any_network_learns_and_the_autoencoder_does_not(
    network: str, tmp_path: Path, autoencoders: list[LanguageGuidedAutoencoder]
) -> None:
    recipe = small("leda", network)
    assert go(recipe, tmp_path)
    (frozen_network,) = autoencoders
    assert hash_of(frozen_network.autoencoder) == frozen_network.sha256
    model = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE))
    assert (model.denoiser.spec, model.denoiser.scale) == (recipe.network, recipe.scale)
    assert model.training["autoencoder"] == frozen_network.sha256
    names = {row["name"] for row in csv.DictReader((tmp_path / "log.csv").open())}
    assert names >= {"denoiser/mse", "denoiser/leda_continuous", "denoiser/leda_discrete"}
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert set(state["modules"]) == {"denoiser"}
    assert set(state["modules"]["denoiser"]) == {f"network.{key}" for key in load_file(tmp_path / MODEL_FILE)}
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["autoencoder"] == autoencoder_file.TEACHER
    assert described["settings"]["autoencoder"] == frozen_network.sha256


@pytest.mark.parametrize(("name", "weight"), [("leda", "leda_weight"), ("perceptual", "perceptual_weight")])
def test_weight_zero_is_training_by_mse_bit_for_bit(
    name: str, weight: str, tmp_path: Path, autoencoders: list[LanguageGuidedAutoencoder]
) -> None:
    assert go(small(name, **{weight: 0.0}), tmp_path / "zero")
    assert not autoencoders
    assert go(replace(small(name), method=recipes.get_recipe("unet").method), tmp_path / "mse")  # type: ignore[union-attr]
    assert go(small(name), tmp_path / "with")
    states = {run: torch.load(tmp_path / run / STATE_FILE, weights_only=True) for run in ("zero", "mse", "with")}
    for kind in ("modules", "ema"):
        zero, mse, other = (torch.utils._pytree.tree_leaves(states[run][kind]) for run in states)
        assert all(torch.equal(a, b) for a, b in zip(zero, mse, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(zero, other, strict=True))


def test_each_half_of_leda_is_trained_by_alone(tmp_path: Path) -> None:
    for off, left in (("continuous", "leda_discrete"), ("discrete", "leda_continuous")):
        assert go(small("leda", **{off: 0.0}), tmp_path / off)
        names = {row["name"] for row in csv.DictReader((tmp_path / off / "log.csv").open())}
        assert {name for name in names if "leda" in name} == {f"denoiser/{left}"}
    with pytest.raises(InvalidSetting, match="continuous=0 and discrete=0"):
        go(small("leda", continuous=0.0, discrete=0.0), tmp_path / "none")


def test_lambda_weighs_both_terms(tmp_path: Path) -> None:
    values = []
    for weight in (0.5, 1.0):
        assert go(small("leda", leda_weight=weight, steps=1), tmp_path / str(weight))
        rows = csv.DictReader((tmp_path / str(weight) / "log.csv").open())
        values.append({row["name"]: float(row["value"]) for row in rows if row["name"].startswith("denoiser/")})
    assert values[0]["denoiser/mse"] == values[1]["denoiser/mse"]
    for name in ("denoiser/leda_continuous", "denoiser/leda_discrete"):
        assert 2 * values[0][name] == pytest.approx(values[1][name], rel=1e-6)


def test_another_frozen_network_is_no_resumption(tmp_path: Path) -> None:
    recipe = small("leda")
    assert go(recipe, tmp_path / "leda")
    assert go(recipe, tmp_path / "leda", RESUME)
    with pytest.raises(InvalidSetting, match=f"autoencoder was {loaded(0).sha256}, now {loaded(1).sha256}"):
        go(replace(recipe, teachers={"autoencoder": "other"}), tmp_path / "leda", RESUME)
    with pytest.raises(InvalidSetting, match=r"network was .*'width': 4.*, now .*'width': 8"):
        go(small("leda", "unet:width=8,levels=2"), tmp_path / "leda", RESUME)
    recipe = small("perceptual")
    assert go(recipe, tmp_path / "perceptual")
    with pytest.raises(InvalidSetting, match=r"features was anatomy [0-9a-f]{64}, now anatomy-random [0-9a-f]{64}"):
        go(replace(recipe, teachers={"features": "anatomy-random"}), tmp_path / "perceptual", RESUME)


@pytest.mark.parametrize(("name", "patch", "needed"), [("leda", 12, 16), ("perceptual", 24, 32)])
def test_patches_too_small_are_refused_before_anything_is_written(
    name: str, patch: int, needed: int, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSetting, match=f"patch={patch}: the objective needs at least {needed} pixels a side"):
        go(small(name, patch=patch), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_goes_on_from_weights_of_the_chosen_network_whatever_their_recipe(tmp_path: Path) -> None:
    plain = recipes.get_recipe("unet")
    assert isinstance(plain, DenoiserRecipe)
    assert go(replace(small("leda"), method=plain.method, accepts_any_network=False), tmp_path / "mse")
    assert go(small("leda"), tmp_path / "leda", start=tmp_path / "mse" / MODEL_FILE)
    with pytest.raises(InvalidSetting, match="start from weights of the same network"):
        go(small("leda", "unet:width=8,levels=2"), tmp_path / "other", start=tmp_path / "mse" / MODEL_FILE)


def test_numbers_of_the_paper() -> None:
    hyperparameters = recipes.get_recipe("leda").hyperparameters
    assert (hyperparameters.beta1, hyperparameters.beta2, hyperparameters.weight_decay) == (0.9, 0.99, 1e-9)
    assert (hyperparameters.learning_rate, hyperparameters.final_learning_rate) == (1e-4, 1e-6)
    assert (hyperparameters.leda_weight, hyperparameters.continuous, hyperparameters.discrete) == (0.5, 1.0, 1.0)  # type: ignore[union-attr]
    assert hyperparameters.with_values({"leda_weight": "0.25"}).leda_weight == 0.25  # type: ignore[union-attr]
    for wrong in ({"leda_weight": "-1"}, {"continuous": "nan"}, {"discrete": "-0.1"}):
        with pytest.raises(InvalidSetting):
            hyperparameters.with_values(wrong)

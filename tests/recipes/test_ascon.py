"""ASCON as a run: it takes any network, keeps MAC-Net, refuses what cannot work, and learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowdose import recipes
from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec
from lowdose.networks.mac_net import MACNet
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE
from lowdose.training.trainer import STATE_FILE
from lowdose.weights.artefact import load_artefact
from support.adversarial_runs import gain_on_one_pair, small_adversarial
from support.training_runs import modules_of_an_interrupted_run, train


def small(network: str = "esau_net:width=8", **changes: float) -> DenoiserRecipe:
    return small_adversarial("ascon", network, **({"mac_width": 4, "patch": 48} | changes))


def test_any_network_is_trained_and_mac_net_is_kept(tmp_path: Path) -> None:
    assert train(small("unet:width=4,levels=2"), tmp_path)
    assert checkpoint.load_denoiser(str(tmp_path / MODEL_FILE)).denoiser.spec == NetworkSpec(
        "unet", {"width": 4, "levels": 2}
    )
    kept = MACNet(4)
    load_artefact(kept, "mac_net", tmp_path / "mac_net.safetensors")
    trained = torch.load(tmp_path / STATE_FILE, weights_only=True)["modules"]["mac_net"]
    for name, value in kept.state_dict().items():
        assert torch.equal(value, trained[f"mac_net.{name}"])
    logged = {row.split(",")[1] for row in (tmp_path / "log.csv").read_text().splitlines()}
    terms = ("patches", "pixels")
    assert {f"mac_net/{term}" for term in terms} | {f"denoiser/{term}" for term in ("mse", "ssim", *terms)} < logged


def test_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = modules_of_an_interrupted_run(small("unet:width=4,levels=2"), tmp_path, monkeypatch)
    assert modules == {"denoiser", "mac_net", "target"}


@pytest.mark.parametrize(
    ("patch", "reason"),
    [(56, "patch=56: MAC-Net needs a multiple of 16 pixels, at least 48; take patch=48"), (32, "take patch=48")],
)
def test_what_cannot_work_is_refused_in_a_line_and_leaves_nothing(patch: int, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        train(small(patch=patch), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_published_hyperparameters() -> None:
    recipe = recipes.get_recipe("ascon")
    found = recipe.hyperparameters
    assert recipe.network == NetworkSpec("esau_net", {"width": 32})  # type: ignore[union-attr]
    assert (found.learning_rate, found.mac_learning_rate, found.beta1, found.beta2) == (2e-4, 2e-4, 0.5, 0.999)
    assert (found.batch, found.content_weight, found.contrast_weight, found.mac_width) == (8, 10, 0.1, 64)


@pytest.mark.long
def test_it_gains_10_db_on_a_pair(tmp_path: Path) -> None:
    recipe = small(
        steps=150, batch=1, patch=64, warmup=10, mac_width=8, ema=0.9,
        learning_rate=2e-3, final_learning_rate=2e-5, checkpoint_every=10**6, validate_every=10**6,
    )  # fmt: skip
    assert gain_on_one_pair(recipe, tmp_path) > 10

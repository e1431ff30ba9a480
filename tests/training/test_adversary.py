"""Discriminators by name: with which losses they go, at which weight, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lowdose
from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.methods.anatomy_gan import AnatomyAwareGAN
from lowdose.methods.supervised import denoise_batch
from lowdose.networks.denoiser import Denoiser
from lowdose.training.adversary import ADVERSARIES, BESIDE_A_LOSS, Adversary, against, parse_adversary
from support.adversarial_runs import small_adversarial
from support.ct_pair import CT_PAIR
from support.make_ct_fixture import FIXTURE

ANATOMY = Adversary("anatomy", width=4)


def judged(name: str, adversary: Adversary = ANATOMY, **changes: float) -> AnatomyAwareGAN:
    recipe = small_adversarial(name, "red_cnn:channels=4", patch=64, **changes)
    method = recipe.method(Denoiser(recipe.network, recipe.scale), recipe.hyperparameters, recipe.teachers)
    return against(adversary, method, "anatomy")


def batch() -> PairedBatch:
    low, full = 100 * torch.randn(2, 2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    return PairedBatch(low, full, number=torch.arange(2))


@pytest.mark.parametrize(
    ("name", "terms", "weight"),
    [
        ("perceptual", {"mse", "perceptual"}, BESIDE_A_LOSS),
        ("du_gan", {"mse", "sobel"}, 0.1418),
        ("res_hlf", {"ssim", "l1"}, None),
        ("map_nn", {"mse", "sobel"}, 1.0),
    ],
)
def test_a_loss_goes_against_the_anatomy_aware_discriminator(name: str, terms: set[str], weight: float | None) -> None:
    sizes = {"discriminator_width": 4, "discriminator_levels": 2} if name == "du_gan" else {}
    method = judged(name, **sizes)
    updates = {update.module: dict(update.terms) for update in method.updates(batch())}
    assert set(updates) == {"discriminator", "denoiser"}
    assert set(updates["denoiser"]) == terms | {"adversarial"}
    assert method.discriminator.fusions
    assert weight is None or method.adversarial_weight == pytest.approx(weight)


def test_the_loss_keeps_its_unit() -> None:
    """What DU-GAN's error of images is in its own training, it is here: 5.034 times that with 600 HU as 1."""
    method = judged("du_gan", discriminator_width=4, discriminator_levels=2)
    given = batch()
    *_, update = method.updates(given)
    denoised, _, full = denoise_batch(method.denoiser, given)
    expected = 5.034 * ((denoised - full) / 600).square().mean()
    torch.testing.assert_close(update.terms["mse"], expected, rtol=1e-4, atol=0)


def test_patch_attends_to_nothing_and_a_weight_can_be_stated() -> None:
    method = judged("perceptual", parse_adversary("patch:weight=0.5,width=8"))
    assert not method.discriminator.fusions
    assert method.adversarial_weight == 0.5
    assert parse_adversary("anatomy:learning_rate=1e-5") == Adversary("anatomy", learning_rate=1e-5)
    assert [parse_adversary(name).name for name in ADVERSARIES] == list(ADVERSARIES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unet", "no discriminator 'unet'; there are anatomy, patch"),
        ("anatomy:size=3", "'size=3' is no setting above 0 of it; write anatomy:weight="),
        ("anatomy:width=x", "'width=x' is no setting"),
        ("patch:weight=-1", "'weight=-1' is no setting above 0"),
        ("patch:weight=nan", "'weight=nan' is no setting above 0"),
        ("patch:", "'' is no setting above 0"),
    ],
)
def test_bad_adversaries_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        parse_adversary(text)


def test_a_method_that_is_more_than_a_loss_is_refused() -> None:
    recipe = small_adversarial("ascon", "esau_net:width=4", patch=64, mac_width=4)
    method = recipe.method(Denoiser(recipe.network, recipe.scale), recipe.hyperparameters, recipe.teachers)
    with pytest.raises(InvalidSetting, match="AnatomicalContrast is no loss to put a discriminator beside"):
        against(ANATOMY, method, "anatomy")


@pytest.mark.slow
def test_from_train_to_denoise(tmp_path: Path) -> None:
    options = {"adversary": "anatomy:width=4", "network": "red_cnn:channels=4", "data": FIXTURE}
    settings = {"steps": 2, "batch": 2, "patch": 32, "validation_patients": 0}
    run = lowdose.train("perceptual", tmp_path / "run", set=settings, **options)  # type: ignore[arg-type]
    stated = {"name": "anatomy", "weight": None, "width": 4, "learning_rate": 1e-4}
    assert run.to_dict()["settings"]["adversary"] == stated
    assert set(run.artefacts) == {"discriminator"}
    lowdose.denoise(CT_PAIR.quarter, tmp_path / "out", model=run.weights)
    assert lowdose.read(tmp_path / "out").hu.shape == lowdose.read(CT_PAIR.quarter).hu.shape

"""The check of a teacher on a digital slice: the shipped ones are told apart, and a training says so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lowdose.evaluation.digital_texture import digital_texture
from lowdose.evaluation.noise_sensitivity import blindness
from lowdose.language.autoencoder_file import DEFAULT, TEACHER, load_autoencoder
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.denoiser import Denoiser
from lowdose.recipes import get_recipe
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.leda_autoencoder.validation import validate_texture
from lowdose.training.recipe import DenoiserRecipe


@pytest.mark.slow
def test_the_shipped_teacher_sees_texture_and_the_former_one_does_not() -> None:
    seen, blind = (digital_texture(load_autoencoder(name).autoencoder) for name in (TEACHER, DEFAULT))
    assert seen.systematic_share[0] >= 0.8
    assert seen.systematic_share[1] >= 0.6
    assert max(seen.noise_distance_ratio[0], seen.leakage[0]) < 0.1
    assert blind.systematic_share[0] < 0.2
    assert blind.noise_distance_ratio[0] == pytest.approx(2 * (1 - blind.systematic_share[0]), rel=0.1)


@pytest.mark.slow
def test_a_training_says_what_its_teacher_sees() -> None:
    (facts,) = remarks(TEACHER)
    assert facts.startswith(f"autoencoder '{TEACHER}' on a digital slice: B = 0.9")
    _, warning = remarks(DEFAULT)
    assert warning.startswith(f"warning: autoencoder '{DEFAULT}' is blind to texture")
    assert remarks("there is none", leda_weight="0") == ()


def remarks(teacher: str, **values: str) -> Sequence[str]:
    """Return what a training with LEDA says of a teacher that its method has loaded."""
    recipe, chosen = get_recipe("leda"), parse_denoiser("red_cnn:channels=4")
    assert isinstance(recipe, DenoiserRecipe)
    teachers, h = {"autoencoder": teacher}, recipe.hyperparameters.with_values(values)
    return recipe.remarks(recipe.method(Denoiser(chosen.network, chosen.scale), h, teachers), teachers)


def test_a_warning_names_the_share_and_what_is_needed() -> None:
    assert blindness("mine", 0.8) is None
    assert "'mine' is blind to texture: of what noise changes in its latents 79% is" in str(blindness("mine", 0.79))
    assert " 0% is" in str(blindness("mine", -0.01))


@pytest.mark.slow
def test_validation_logs_the_same_figures() -> None:
    network = load_autoencoder(TEACHER).autoencoder
    seen, logged = digital_texture(network), validate_texture(network)
    assert logged["validation/systematic_share"] == seen.systematic_share[0]
    assert logged["validation/noise_ratio_tokens"] == seen.noise_distance_ratio[1]
    assert isinstance(network, Autoencoder)

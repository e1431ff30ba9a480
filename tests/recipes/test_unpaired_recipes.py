"""Recipes without pairs as runs: they resume exactly, say what they need, and read what they say they read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose import recipes
from lowdose.data.pairs import PairedSlice
from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.training import denoiser_run, runner
from lowdose.training.pairing import FolderPairing, NoPairing, Pairing
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.trainer import STATE_FILE
from support.adversarial_runs import small_adversarial
from support.training_runs import EXACT, StopAfter, assert_same, paired_series

CASES: dict[str, tuple[dict[str, float], set[str], set[str]]] = {
    "jing": (
        {"critic_width": 4, "patch": 64},
        {"denoiser", "critic"},
        {"semantic_contrast", "consistency", "adversarial"},
    ),
    "noise2sim": ({}, {"denoiser"}, {"similar"}),
    "noise2noise_td": ({"crop": 16, "windows": 2}, {"denoiser"}, {"likelihood", "noise"}),
    "wia_ld2nd": ({"encoder_width": 4}, {"denoiser", "encoder", "target"}, {"mse", "ssim", "high_frequency"}),
}
"""Small settings, modules of the checkpoint, and terms of the denoiser."""
NETWORKS = {"noise2noise_td": "noise2noise_td:width=4,features=4,views=144"}
"""Small networks of the recipes that do not take any."""


def small(name: str, network: str | None = None, **changes: float) -> DenoiserRecipe:
    network = network or NETWORKS.get(name, "unet:width=4,levels=2")
    settings = {**CASES[name][0], "validation_patients": 0, **changes}
    recipe = small_adversarial(name, network, **settings)
    return replace(recipe, teachers=dict.fromkeys(recipe.teachers, "anatomy-random"))


def run(
    recipe: DenoiserRecipe, folder: Path, options: RunOptions = EXACT, items: list[PairedSlice] | None = None,
    pairing: Pairing | None = None,
) -> bool:  # fmt: skip
    return denoiser_run.train_denoiser(
        "test", recipe, items or paired_series(), folder, options, lambda _: None, lambda *_: None,
        pairing or FolderPairing(),
    )  # fmt: skip


def with_one_dose(item: PairedSlice, which: int) -> PairedSlice:
    """A single scan in the place of a pair."""
    image = item.read()[which]
    return replace(item, read=lambda: (image, image))


@pytest.mark.parametrize("name", CASES)
def test_resumed_equals_uninterrupted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = small(name, steps=3)
    assert run(recipe, tmp_path / "whole")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(2))
    assert not run(recipe, tmp_path / "parts")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert run(recipe, tmp_path / "parts", replace(EXACT, resume=True))
    whole, parts = (torch.load(tmp_path / folder / STATE_FILE, weights_only=True) for folder in ("whole", "parts"))
    assert set(whole["modules"]) == CASES[name][1]
    for key in ("modules", "ema", "optimisers", "buffers"):
        assert_same(whole[key], parts[key])
    logged = {row.split(",")[1] for row in (tmp_path / "whole" / "log.csv").read_text().splitlines()}
    assert {f"denoiser/{term}" for term in CASES[name][2]} <= logged


@pytest.mark.parametrize("name", CASES)
def test_a_network_of_three_slices_is_trained_and_denoises(name: str, tmp_path: Path) -> None:
    network = NETWORKS.get(name, "unet:width=4,levels=2")
    assert run(small(name, f"{network},slices=3", steps=1), tmp_path)
    model = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE)).denoiser
    assert model.context == 1
    assert model.noise_free == name.startswith("noise2")
    assert model.denoise(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize(("name", "unread"), [("noise2sim", 1), ("noise2noise_td", 1), ("wia_ld2nd", 0)])
def test_one_dose_is_enough_and_the_other_has_no_effect(name: str, unread: int, tmp_path: Path) -> None:
    series = paired_series()
    single = [with_one_dose(item, 1 - unread) for item in series]
    # Without an augmentation that mixes both doses, even where there are both.
    recipe = small(name, steps=2, kernel_conversion_share=0.0)
    assert run(recipe, tmp_path / "pairs", items=series)
    assert run(recipe, tmp_path / "single", items=single, pairing=NoPairing())
    one, other = (
        torch.load(tmp_path / folder / STATE_FILE, weights_only=True)["modules"] for folder in ("pairs", "single")
    )
    assert_same(one, other)


def test_pairs_are_needed_where_normal_and_low_dose_are() -> None:
    with pytest.raises(InvalidSetting, match=r"--pairing none: has no 'full', which UnpairedGAN learns from"):
        run(small("jing"), Path("nowhere"), pairing=NoPairing())


@pytest.mark.parametrize(("name", "count"), [("jing", 1), ("noise2sim", 2)])
def test_single_slices_have_no_neighbours_to_learn_from(name: str, count: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=f"needs {count} slices on each side of a slice.*give whole series"):
        run(small(name), tmp_path / "run", items=paired_series(1))


def test_patches_whose_feature_maps_have_odd_sides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"patch=36: wavelets .* multiple of 8 pixels; take patch=32"):
        run(small("wia_ld2nd", patch=36), tmp_path)


def test_published_hyperparameters() -> None:
    sim, wavelets, graph = (recipes.get_recipe(name).hyperparameters for name in ("noise2sim", "wia_ld2nd", "tddl_gcn"))
    assert (sim.beta1, sim.beta2, sim.learning_rate, sim.batch, sim.similar_weight) == (0.1, 0.99, 5e-4, 32, 10)
    assert (wavelets.ll_sd, wavelets.lh_sd, wavelets.hl_sd, wavelets.hh_sd) == (25, 50, 50, 25)
    assert (wavelets.beta1, wavelets.learning_rate, wavelets.encoder_width) == (0.5, 1e-4, 64)
    assert (graph.steps, graph.batch, graph.patch, graph.learning_rate) == (400_000, 12, 64, 1e-4)
    assert np.isclose(graph.final_learning_rate, 1e-5)

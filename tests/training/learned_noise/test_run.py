"""Training runs of noise models: what they write, exact resuming, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from lowdose import recipes
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import NothingToRead
from lowdose.metrics.local_noise import noise_map, noise_map_correlation
from lowdose.metrics.noise_frequency import f_av
from lowdose.metrics.noise_power import nps_radial
from lowdose.networks.noise_vae import read_noise_model
from lowdose.training import runner
from lowdose.training.learned_noise.added_noise import LearnedNoise
from lowdose.training.learned_noise.recipe import NoiseRecipe
from lowdose.training.learned_noise.run import train_noise_model
from support.noisy_series import PIXEL_MM, SIDE, disc, noisy_items, noisy_slice
from support.training_runs import EXACT, StopAfter


def tiny(name: str, steps: int = 4, **changes: object) -> NoiseRecipe:
    recipe = recipes.get_recipe(name)
    assert isinstance(recipe, NoiseRecipe)
    h = replace(
        recipe.hyperparameters, steps=steps, batch=4, components=2, filter_side=7, held_out_share=0.34,
        validate_every=steps, checkpoint_every=2, critic_width=2, critic_turns=1, **changes,
    )  # fmt: skip
    return replace(recipe, hyperparameters=h)


def train(recipe: NoiseRecipe, run: Path, items: list[NormalDoseSlice] | None = None, **options: bool) -> bool:
    chosen = replace(EXACT, **options)
    return train_noise_model("noise", recipe, items or noisy_items(), run, chosen, lambda _: None, lambda *_: None)


@pytest.mark.parametrize("name", ["noise_vae", "noise_gan"])
def test_a_resumed_run_ends_in_the_same_model(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny(name)
    assert train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(runner, "GracefulStop", StopAfter(2))
        assert not train(recipe, tmp_path / "parts")
    assert train(recipe, tmp_path / "parts", resume=True)
    a, b = (read_noise_model(tmp_path / run)[0].state_dict() for run in ("whole", "parts"))
    for key, value in a.items():
        np.testing.assert_array_equal(value.numpy(), b[key].numpy(), err_msg=key)
    settings = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert settings["validation"]["slices"] == 1
    assert settings["noise"]["pixel_mm"] == pytest.approx(1.5)
    log = (tmp_path / "whole" / "log.csv").read_text()
    assert "validation/sd_ratio" in log
    assert "validation/f_av_ratio" in log


def test_slices_without_flat_tissue_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    air = [replace(item, read=lambda: np.full((SIDE, SIDE), -1000, np.float32)) for item in noisy_items()]
    with pytest.raises(NothingToRead, match=r"0 flat patches .* needs 16"):
        train(tiny("noise_vae"), tmp_path / "run", air)
    assert not (tmp_path / "run").exists()


def test_slices_without_a_pixel_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match="pixel size"):
        train(tiny("noise_vae"), tmp_path / "run", [replace(item, pixel_mm=None) for item in noisy_items()])


@pytest.mark.slow
def test_samples_get_the_strength_and_the_texture_of_held_out_noise(tmp_path: Path) -> None:
    recipe = tiny("noise_vae", 120)
    h = replace(recipe.hyperparameters, components=3, filter_side=13, batch=8, ema=0.95)
    assert train(replace(recipe, hyperparameters=h), tmp_path / "run", noisy_items(6))
    rows = [line.split(",") for line in (tmp_path / "run" / "log.csv").read_text().splitlines()]
    last = {row[1]: float(row[2]) for row in rows[1:]}
    assert last["validation/sd_ratio"] == pytest.approx(1, abs=0.12)
    assert last["validation/f_av_ratio"] == pytest.approx(1, abs=0.1)


@pytest.mark.long
@pytest.mark.parametrize(("name", "in_place"), [("noise_vae", 0.65), ("noise_gan", 0.45)])
def test_noise_sampled_for_a_new_slice_is_like_its_own(name: str, in_place: float, tmp_path: Path) -> None:
    recipe = tiny(name, 250)
    h = replace(recipe.hyperparameters, components=3, filter_side=13, batch=8, ema=0.95, critic_width=4)
    assert train(replace(recipe, hyperparameters=h), tmp_path / "run", noisy_items(6))
    noise, hu = LearnedNoise(read_noise_model(tmp_path / "run")[0]), noisy_slice(50)
    of_slice, whole, rng = noise.of_slice(hu, PIXEL_MM), (slice(0, SIDE), slice(0, SIDE)), np.random.default_rng(0)
    sampled = np.stack([noise.draw(of_slice, hu.shape, whole, hu, PIXEL_MM, rng) for _ in range(4)])
    real = np.stack([noisy_slice(seed) - disc() for seed in range(50, 54)])
    body = binary_erosion(disc() > 0, iterations=4)
    middle = (slice(None), slice(48, 112), slice(48, 112))
    frequencies = [f_av(nps_radial(images[middle], PIXEL_MM)) for images in (sampled, real)]
    maps = [np.mean([noise_map(image, body) for image in images], axis=0) for images in (sampled, real)]
    assert sampled[:, body].std() == pytest.approx(real[:, body].std(), rel=0.15)
    assert frequencies[0] == pytest.approx(frequencies[1], rel=0.1)
    assert abs(sampled[:, body].mean()) < 0.05 * real[:, body].std()
    assert noise_map_correlation(maps[0], maps[1], body) > in_place

"""Patches of noise: where they are taken from, their mean, and anatomy that is kept out."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.metrics.noise_frequency import f_av
from lowdose.metrics.noise_power import nps_radial
from lowdose.training.learned_noise.flat_patches import SIDE, candidate_patches, flat_patches
from support.noisy_series import PIXEL_MM, SD, disc, noisy_slice, texture


def test_patches_have_the_mean_zero_and_come_from_all_of_the_body() -> None:
    candidates = [candidate_patches(noisy_slice(seed), PIXEL_MM) for seed in range(3)]
    found = flat_patches(candidates)
    assert found.noise.shape[1:] == (SIDE, SIDE)
    assert np.abs(found.noise.mean(axis=(1, 2))).max() < 1e-3
    depths, chosen = (np.concatenate([c.conditions[:, 1] for c in candidates]), found.conditions[:, 1])
    assert chosen.min() < np.quantile(depths, 0.3)
    assert chosen.max() > np.quantile(depths, 0.7)
    assert 0.4 * SD < found.noise.std() < SD


def test_air_and_its_border_are_left_out() -> None:
    assert len(candidate_patches(np.full((96, 96), -1000, np.float32), PIXEL_MM).noise) == 0
    assert len(candidate_patches(disc(level=1000), PIXEL_MM).noise) == 0
    assert len(flat_patches([candidate_patches(np.full((96, 96), -1000, np.float32), PIXEL_MM)]).noise) == 0


@pytest.mark.parametrize("contrast", [40.0, 120.0])
def test_anatomy_is_neither_chosen_nor_left_in_what_is_chosen(contrast: float) -> None:
    """Vessels in one half of the body: what is learned has the strength and the texture of the noise."""
    noise = [SD * texture(seed) for seed in range(4)]
    y, x = np.mgrid[: noise[0].shape[0], : noise[0].shape[1]]
    vessels = contrast * ((np.sin(x / 5) * np.sin(y / 6) > 0.6) & (x > 70))
    candidates = [candidate_patches((disc() + vessels + one).astype(np.float32), PIXEL_MM) for one in noise]
    found = flat_patches(candidates)
    assert found.noise.std() == pytest.approx(SD, rel=0.05)
    pure = f_av(nps_radial(np.concatenate([one[None, 60:92, 60:92] for one in noise]), PIXEL_MM))
    unchosen = f_av(nps_radial(np.concatenate([one.noise for one in candidates]), PIXEL_MM))
    assert abs(f_av(nps_radial(found.noise, PIXEL_MM)) - pure) < min(0.1 * pure, 0.5 * abs(unchosen - pure))

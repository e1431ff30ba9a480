"""Noise that is added to slices: reproducible, of zero mean, of one texture in millimetres, and the comparisons."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from lowdose.metrics.noise_estimate import SOFT_TISSUE_HU
from lowdose.metrics.noise_frequency import f_av
from lowdose.metrics.noise_power import nps_radial
from lowdose.networks.noise_vae import NoiseDecoder, NoiseSettings, TrainingNoise
from lowdose.training.learned_noise.added_noise import GaussianNoise, LearnedNoise, PoissonNoise
from lowdose.training.learned_noise.conditions import CONDITIONS, LEVEL_HU, noise_conditions
from support.noisy_series import PIXEL_MM, SIDE, disc

WHOLE = (slice(0, SIDE), slice(0, SIDE))


def learned(pixel_mm: float = PIXEL_MM) -> LearnedNoise:
    torch.manual_seed(0)
    known = TrainingNoise(25.0, pixel_mm, torch.full((CONDITIONS,), -2.0), torch.full((CONDITIONS,), 4.0))
    return LearnedNoise(NoiseDecoder(NoiseSettings(3, 9, CONDITIONS), known).eval().requires_grad_(False))


def test_noise_depends_on_the_generator_alone_and_has_no_mean() -> None:
    noise, hu = learned(), disc()
    of_slice = noise.of_slice(hu, PIXEL_MM)
    a, b = (noise.draw(of_slice, hu.shape, WHOLE, hu, PIXEL_MM, np.random.default_rng(seed)) for seed in (1, 1))
    np.testing.assert_array_equal(a, b)
    draws = [noise.draw(of_slice, hu.shape, WHOLE, hu, PIXEL_MM, np.random.default_rng(seed)) for seed in range(16)]
    assert abs(np.mean(draws)) < 0.5
    assert np.std([draw[hu > 0] for draw in draws]) == pytest.approx(of_slice.sd, rel=0.05)


def test_a_window_has_the_gains_of_its_place() -> None:
    noise, hu = learned(), disc()
    of_slice = noise.of_slice(hu, PIXEL_MM)
    window = (slice(20, 60), slice(70, 110))
    found = [
        noise.draw(of_slice, hu.shape, window, hu[window], PIXEL_MM, np.random.default_rng(seed)) for seed in range(40)
    ]
    whole = [noise.draw(of_slice, hu.shape, WHOLE, hu, PIXEL_MM, np.random.default_rng(seed)) for seed in range(40)]
    assert np.std(found) == pytest.approx(np.std([one[window] for one in whole]), rel=0.03)


def test_in_the_lung_noise_is_that_of_soft_tissue_as_far_as_the_rays_say() -> None:
    noise, hu = learned(), disc()
    rows, columns = np.ogrid[:SIDE, :SIDE]
    lung = np.hypot(rows - SIDE * 0.5, columns - SIDE * 0.6) < SIDE * 0.12
    hu = np.where(lung, np.float32(-850), hu).astype(np.float32)
    conditions = noise_conditions(hu, PIXEL_MM)
    variance = (noise.of_slice(hu, PIXEL_MM).maps.astype(np.float64) ** 2).sum(axis=0)
    with torch.no_grad():
        plain = (noise.decoder.gains(torch.from_numpy(conditions)[None])[0].numpy().astype(np.float64) ** 2).sum(axis=0)
    level = conditions[0] * LEVEL_HU
    soft, inside = (level > SOFT_TISSUE_HU[0]) & (level < SOFT_TISSUE_HU[1]), level < -800
    inside[[0, -1]] = inside[:, [0, -1]] = False
    rays = np.exp(conditions[1:5]).mean(axis=0)
    assert inside.any()
    np.testing.assert_allclose(variance[inside], plain[soft].mean() * rays[inside] / rays[soft].mean(), rtol=5e-3)
    np.testing.assert_allclose(variance[soft], plain[soft], rtol=5e-3)


@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_other_pixels_show_the_same_texture_in_millimetres(factor: float) -> None:
    noise = learned(1.0)
    for taps in noise.decoder.filters:  # power below the Nyquist frequency along the diagonals, too
        taps.copy_(torch.from_numpy(gaussian_filter(taps.numpy(), 0.8)))
    rng = np.random.default_rng(0)
    own, other = (np.stack([noise.fields(64, pixel, rng)[0] for _ in range(40)]) for pixel in (1.0, factor))
    assert other.std() == pytest.approx(own.std(), rel=0.03)
    frequency = f_av(nps_radial(other, factor)), f_av(nps_radial(own, 1.0))
    if factor < 1:  # larger pixels cannot show what lies beyond their Nyquist frequency
        assert frequency[0] == pytest.approx(frequency[1], rel=0.03)
    else:
        assert frequency[0] <= frequency[1] * 1.03


def test_gaussian_noise_is_white_and_the_same_everywhere() -> None:
    noise, hu = GaussianNoise(20.0), disc()
    drawn = noise.draw(noise.of_slice(hu, 1.0), hu.shape, WHOLE, hu, 1.0, np.random.default_rng(0))
    assert drawn.std() == pytest.approx(20, rel=0.02)
    for axis in (0, 1):  # neighbours have nothing in common
        assert abs((drawn * np.roll(drawn, 1, axis)).mean()) < 0.03 * 20**2


@pytest.mark.parametrize("level", [-900.0, 0.0, 1000.0])
def test_poisson_noise_has_a_variance_in_proportion_to_attenuation(level: float) -> None:
    noise, hu = PoissonNoise(20.0), np.full((200, 200), level, np.float32)
    drawn = noise.draw(noise.of_slice(hu, 1.0), hu.shape, WHOLE, hu, 1.0, np.random.default_rng(0))
    assert drawn.std() == pytest.approx(20 * np.sqrt((level + 1000) / 1000), rel=0.03)
    assert abs(drawn.mean()) < 0.5


def test_poisson_noise_leaves_a_vacuum_as_it_is() -> None:
    hu = np.full((8, 8), -1024, np.float32)
    noise = PoissonNoise(20.0)
    assert not noise.draw(
        noise.of_slice(hu, 1.0), hu.shape, (slice(8), slice(8)), hu, 1.0, np.random.default_rng(0)
    ).any()

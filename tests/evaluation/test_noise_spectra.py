"""Noise power spectra of an evaluation: where they are measured, and that they tell textures apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.evaluation.noise_spectra import FEWEST, SIDE, mean_spectrum, noise_spectra
from lowdose.metrics.noise_frequency import Spectrum, f_av


def tissue(size: int = 256) -> np.ndarray:
    return np.full((size, size), 60.0, np.float32)


def test_white_noise_has_a_flat_spectrum_of_its_variance() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (256, 256)).astype(np.float32)
    curve = noise_spectra({"noisy": tissue() + noise}, tissue(), 0.5)["noisy"]
    assert curve.frequency[-1] == 1.0
    assert curve.power[2:] == pytest.approx(np.full(SIDE // 2 - 2, 10**2 * 0.5**2), rel=0.15)


def test_stripes_that_bring_the_mean_frequency_to_that_of_white_noise_do_not_bring_its_spectrum() -> None:
    rng = np.random.default_rng(1)
    white = rng.normal(0, 10, (256, 256))
    coarse = gaussian_filter(rng.normal(0, 60, (256, 256)), 2.0) + 0.3 * white
    stripes = 30.7 * (np.indices((256, 256))[0] % 2 * 2 - 1)
    images = {"white": tissue() + white, "coarse": tissue() + coarse, "striped": tissue() + coarse + stripes}
    curves = noise_spectra({name: hu.astype(np.float32) for name, hu in images.items()}, tissue(), 0.5)
    assert f_av(curves["coarse"]) < 0.3 * f_av(curves["white"])
    assert f_av(curves["striped"]) == pytest.approx(f_av(curves["white"]), rel=0.02)
    assert curves["striped"].power[6:12].mean() < 0.2 * curves["white"].power[6:12].mean()


def test_without_enough_flat_soft_tissue_there_is_none() -> None:
    lung = np.full((256, 256), -850.0, np.float32)
    lung[:SIDE, : SIDE * (FEWEST - 1)] = 50
    assert noise_spectra({"low": lung}, lung, 0.7) == {}


def test_the_mean_of_spectra_is_that_of_their_power() -> None:
    one, other = (Spectrum(np.array([0.1, 0.2]), np.array(power)) for power in ([1.0, 2.0], [3.0, 6.0]))
    assert mean_spectrum([one, other]).power == pytest.approx([2.0, 4.0])

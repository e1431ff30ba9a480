"""The NPS of noise whose spectrum is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.spectrum import Spectrum, detrend, f_av, f_peak, nps, nps_radial, surviving_share


@pytest.mark.parametrize("size", [16, 24, 32, 33])
def test_white_noise_is_flat_and_sums_to_its_variance(size: int) -> None:
    rois = np.random.default_rng(0).normal(40, 7, (1500, size, size))
    spectrum = nps_radial(rois, 0.7)
    assert np.allclose(spectrum.power, 49 * 0.7**2, rtol=0.05)
    df = 1 / (size * 0.7)
    assert nps(rois, 0.7).sum() * df**2 == pytest.approx(49.0, rel=0.01)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-300, 300), min_size=6, max_size=6), st.floats(0.3, 1.0))
def test_a_second_order_surface_is_no_noise(c: list[float], pixel_mm: float) -> None:
    v, u = np.mgrid[-1:1:24j, -1:1:24j]
    surface = c[0] + c[1] * u + c[2] * v + c[3] * u * u + c[4] * v * v + c[5] * u * v
    noise = np.random.default_rng(0).normal(0, 1, (1, 24, 24))
    assert np.allclose(detrend(noise + surface), detrend(noise), atol=1e-8)
    assert np.allclose(nps(noise + surface, pixel_mm), nps(noise, pixel_mm), atol=1e-6)


def test_a_wave_peaks_at_its_frequency() -> None:
    x = np.arange(32) * 0.8
    wave = np.tile(np.sin(2 * np.pi * 0.3125 * x), (32, 1))[None]
    assert f_peak(nps_radial(wave, 0.8)) == pytest.approx(0.3125)


def test_f_av_weighs_the_radial_profile() -> None:
    spectrum = Spectrum(np.array([0.1, 0.2, 0.3]), np.array([1.0, 1.0, 2.0]))  # half of Nyquist's ring counts
    assert f_av(spectrum) == pytest.approx(0.2)
    assert f_av(Spectrum(spectrum.frequency, np.zeros(3))) == 0.0


@pytest.mark.parametrize("peak", [0.5, 0.35, 0.25])
def test_f_av_of_textured_noise(peak: float, textured: Callable[..., tuple[np.ndarray, float]]) -> None:
    noise, expected = textured((480, 480), 0.75, peak)
    rois = noise.reshape(15, 32, 15, 32).swapaxes(1, 2).reshape(-1, 32, 32)
    assert f_av(nps_radial(rois, 0.75)) == pytest.approx(expected, rel=0.06)


def test_a_constant_fit_leaves_the_textbook_share_of_white_noise() -> None:
    constant = np.full((1, 9), 1 / 3)
    assert surviving_share(np.ones((24, 24)), constant, 0) == pytest.approx(1 - 1 / 81)
    low = np.zeros((24, 24))
    low[0, 1] = 1.0
    assert surviving_share(low, constant, 0) < 0.5
    assert surviving_share(np.zeros((24, 24)), constant, 0) == 1.0


def test_what_is_no_roi_is_refused() -> None:
    for shape in ((24, 24), (3, 24, 20), (2, 4, 4), (0, 24, 24)):
        with pytest.raises(GeometryMismatch, match="ROIs"):
            nps(np.zeros(shape), 0.7)
    with pytest.raises(InvalidSetting, match="pixel size"):
        nps(np.zeros((1, 16, 16)), 0.0)

"""Local SD of noise whose SD is known everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.local_noise import noise_map, noise_map_correlation


def test_it_is_the_formula_where_there_is_no_edge() -> None:
    x = np.random.default_rng(0).normal(3, 2, (90, 80))
    expected = np.sqrt(gaussian_filter(x * x, 4) - gaussian_filter(x, 4) ** 2)
    assert np.allclose(noise_map(x, sigma_px=4)[20:-20, 20:-20], expected[20:-20, 20:-20])


def test_a_ramp_of_sd() -> None:
    sd = 10 + 0.1 * np.arange(300.0)
    rng = np.random.default_rng(1)
    squares = [noise_map(sd * rng.standard_normal((200, 300))) ** 2 for _ in range(10)]
    found = np.sqrt(np.mean(squares, axis=0).mean(axis=0))[45:-45]
    expected = np.sqrt(sd**2 + (0.1 * 10) ** 2)[45:-45]  # G of a square: the window's own width adds its share
    assert np.allclose(found, expected, rtol=0.02)


def test_the_edge_of_the_body_does_not_count(textured: Callable[..., tuple[np.ndarray, float]]) -> None:
    y, x = np.mgrid[:240, :240] - 120.0
    radius = np.hypot(y, x)
    body = radius < 90
    noise = 15 * textured(body.shape, 0.75, 0.4)[0]
    found = noise_map(np.where(body, noise, np.nan), body)
    edge = body & (radius > 86)
    assert np.sqrt(np.mean(found[edge] ** 2)) == pytest.approx(15.0, rel=0.05)
    assert np.isnan(found[~body]).all()
    assert np.array_equal(found, noise_map(np.where(body, noise, -2e4), body), equal_nan=True)
    naive = noise_map(np.where(body, noise, 0.0))
    assert naive[edge].mean() < 0.8 * 15  # what is avoided


@settings(max_examples=20, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(-50, 50).filter(lambda k: abs(k) > 0.01))
def test_shift_and_scale(shift: float, scale: float) -> None:
    x = np.random.default_rng(2).normal(0, 1, (50, 60))
    region = np.hypot(*np.mgrid[-25:25, -30:30]) < 24
    found = noise_map(scale * x + shift, region, 3.0)
    assert np.allclose(found[region], abs(scale) * noise_map(x, region, 3.0)[region], rtol=1e-6)


def test_a_constant_has_no_noise() -> None:
    assert noise_map(np.full((40, 40), 1234.5, np.float32)).max() == 0.0


def test_two_scans_of_one_body_place_their_noise_alike() -> None:
    y, x = np.mgrid[:256, :256] - 128.0
    region = np.hypot(y, x) < 110
    strength = 10 + 25 * np.exp(-((x / 60) ** 2))
    rng = np.random.default_rng(4)
    first, second = (noise_map(strength * rng.standard_normal(strength.shape), region) for _ in range(2))
    turned = noise_map(strength.T * rng.standard_normal(strength.shape), region)
    assert noise_map_correlation(first, second, region) > 0.9
    assert noise_map_correlation(first, turned, region) < 0.3
    assert noise_map_correlation(first, 3 * first + 2, region) == pytest.approx(1.0)
    assert noise_map_correlation(first, -first, region) == pytest.approx(-1.0)
    assert noise_map_correlation(first, second, region) == noise_map_correlation(second, first, region)


def test_images_that_cannot_be_mapped_are_refused() -> None:
    plane, everywhere = np.zeros((20, 20)), np.ones((20, 20), bool)
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InvalidSetting, match="sigma"):
            noise_map(plane, everywhere, bad)
    with pytest.raises(GeometryMismatch, match="plane and its region"):
        noise_map(plane, everywhere[:10])
    with pytest.raises(GeometryMismatch, match="plane and its region"):
        noise_map(np.zeros((2, 20, 20)))
    with pytest.raises(InvalidSetting, match="no pixel"):
        noise_map(plane, ~everywhere)
    with pytest.raises(InvalidSetting, match="1 of its 400 pixels"):
        noise_map(np.where(np.arange(400).reshape(20, 20) == 7, np.nan, 0.0), everywhere)
    with pytest.raises(InvalidSetting, match="constant"):
        noise_map_correlation(plane, np.arange(400.0).reshape(20, 20), everywhere)
    with pytest.raises(GeometryMismatch, match="region"):
        noise_map_correlation(plane, plane, everywhere[:10])
    with pytest.raises(GeometryMismatch, match="compared"):
        noise_map_correlation(plane, plane[:10], everywhere)

"""FSIM: its parts against plain formulas, the whole against what it must do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lowdose.errors import GeometryMismatch
from lowdose.metrics.feature_similarity import filter_bank, fsim, gradient_magnitude, phase_congruency, similarity

Array = NDArray[np.float64]


def _image(seed: int = 0, shape: tuple[int, int] = (48, 41)) -> Array:
    image = gaussian_filter(np.random.default_rng(seed).uniform(0, 1, shape), 1.5)
    scaled: Array = (image - image.min()) / np.ptp(image)
    return scaled


def test_the_gradient_is_scharr_written_out() -> None:
    image = _image()
    padded = np.pad(image, 1)
    kernel = np.array([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]) / 16
    expected = np.empty_like(image)
    for i, j in np.ndindex(*image.shape):
        patch = padded[i : i + 3, j : j + 3]
        expected[i, j] = np.hypot((kernel * patch).sum(), (kernel.T * patch).sum())
    assert np.allclose(gradient_magnitude(image), expected)


def test_a_ramp_has_the_gradient_of_its_slope() -> None:
    ramp = np.tile(np.arange(20.0), (20, 1))
    assert np.allclose(gradient_magnitude(ramp)[1:-1, 1:-1], 2.0)  # Scharr over 16 sees two pixels


def test_similarity_is_one_only_for_equal_features() -> None:
    a = np.array([0.0, 1.0, 3.0])
    assert np.array_equal(similarity(a, a, 0.85), np.ones(3))
    assert similarity(np.array([1.0]), np.array([3.0]), 0.85)[0] == pytest.approx((6 + 0.85) / (10 + 0.85))


@pytest.mark.parametrize("shape", [(32, 32), (33, 40)])
def test_the_noise_energy_by_parseval_is_that_of_the_filters_in_space(shape: tuple[int, int]) -> None:
    bank = filter_bank(shape)
    in_space = np.fft.ifft2(bank.filters).real * np.sqrt(np.prod(shape))
    for orientation in range(4):
        total = in_space[orientation].sum(axis=0)
        squares = (in_space[orientation] ** 2).sum()
        products = (total**2).sum() - squares  # twice the sum over pairs of scales, as Kovesi writes it
        assert bank.summed[orientation] == pytest.approx(squares + products)


def test_phase_congruency_is_high_on_an_edge_whatever_its_contrast() -> None:
    step = np.zeros((64, 64))
    step[:, 32:] = 1.0
    faint, strong = phase_congruency(10 * step), phase_congruency(200 * step)
    assert np.allclose(faint, strong, atol=1e-3)
    assert strong[32, 31:33].min() > 0.7
    assert strong.max() <= 1.0
    assert strong[32, 22:28].max() < 0.3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 4000))
def test_symmetric_bounded_and_free_of_the_unit(seed: int, unit: float) -> None:
    a, b = _image(seed), _image(seed + 1)
    value = fsim(a, b, 1.0)
    assert 0.0 < value < 1.0
    assert fsim(b, a, 1.0) == pytest.approx(value, abs=1e-9)
    assert fsim(unit * a, unit * b, unit) == pytest.approx(value, abs=1e-6)
    assert fsim(a, a, 1.0) == pytest.approx(1.0, abs=1e-12)


def test_more_noise_is_less_similar() -> None:
    image, noise = _image(), np.random.default_rng(9).normal(0, 1, (48, 41))
    values = [fsim(image + sd * noise, image, 1.0) for sd in (0.02, 0.1, 0.3)]
    assert values == sorted(values, reverse=True)


def test_large_images_are_halved_by_averaging() -> None:
    a, b = _image(1, (256, 256)), _image(2, (256, 256))
    doubled = [np.kron(image, np.ones((2, 2))) for image in (a, b)]
    assert fsim(*doubled, 1.0) == pytest.approx(fsim(a, b, 1.0), abs=1e-9)


def test_flat_and_too_small() -> None:
    flat = np.full((32, 32), 0.5)
    assert fsim(flat, flat, 1.0) == pytest.approx(1.0)
    with pytest.raises(GeometryMismatch, match="16 x 16"):
        fsim(flat[:15], flat[:15], 1.0)

"""The Frechet distance: closed forms, the formula written out, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from lowdose.errors import GeometryMismatch
from lowdose.metrics.feature_distance import frechet_distance


def cloud(seed: int, rows: int = 60, channels: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, channels)) @ rng.normal(size=(channels, channels)) + rng.normal(size=channels)


def shaped(mean: np.ndarray, covariance: np.ndarray, rows: int = 50) -> np.ndarray:
    """Rows of exactly this mean and this covariance (over n - 1)."""
    white = np.linalg.qr(np.random.default_rng(0).normal(size=(rows, len(mean) + 1)))[0]
    white = np.linalg.qr(np.column_stack([np.ones(rows), white]))[0][:, 1 : len(mean) + 1] * np.sqrt(rows - 1)
    return white @ np.linalg.cholesky(covariance).T + mean


def as_it_is_written(first: np.ndarray, second: np.ndarray) -> float:
    a, b = (np.cov(x, rowvar=False) for x in (first, second))
    gap = first.mean(0) - second.mean(0)
    return float(gap @ gap + np.trace(a + b - 2 * np.real(sqrtm(a @ b))))


def test_equal_clouds_are_at_distance_zero() -> None:
    one = cloud(1)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9 * one.var() * one.shape[1])
    assert frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-9 * one.var() * one.shape[1])


def test_a_shift_costs_its_squared_length() -> None:
    one, shift = cloud(2), np.array([3.0, 0.0, -4.0, 0.0, 12.0])
    assert frechet_distance(one, one + shift) == pytest.approx(169.0)


@pytest.mark.parametrize(
    ("means", "sds"), [((0.0, 0.0), (1.0, 3.0)), ((1.0, -1.5), (0.5, 2.0)), ((2.0, 5.0), (1.0, 1.0))]
)
def test_closed_form_of_one_channel(means: tuple[float, float], sds: tuple[float, float]) -> None:
    first, second = (shaped(np.array([m]), np.array([[s * s]])) for m, s in zip(means, sds, strict=True))
    assert frechet_distance(first, second) == pytest.approx((means[0] - means[1]) ** 2 + (sds[0] - sds[1]) ** 2)


def test_of_independent_channels_is_the_sum_over_channels() -> None:
    sds = np.array([[1.0, 2.0, 0.5], [3.0, 2.0, 0.1]])
    first, second = (shaped(np.zeros(3), np.diag(s**2)) for s in sds)
    assert frechet_distance(first, second) == pytest.approx(float(((sds[0] - sds[1]) ** 2).sum()))


def test_against_the_matrix_root() -> None:
    first, second = cloud(3), cloud(4, rows=80)
    assert frechet_distance(first, second) == pytest.approx(as_it_is_written(first, second), rel=1e-6)


def test_turning_both_clouds_changes_nothing() -> None:
    first, second = cloud(5), cloud(6)
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(5, 5)))[0]
    assert frechet_distance(first @ turn, second @ turn) == pytest.approx(frechet_distance(first, second))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12))
def test_symmetric_and_never_negative_even_with_fewer_rows_than_channels(seed: int, one: int, other: int) -> None:
    first, second = cloud(seed, one, 8), cloud(seed + 1, other, 8)
    found = frechet_distance(first, second)
    assert found >= 0
    assert found == pytest.approx(frechet_distance(second, first), rel=1e-9, abs=1e-9)


def test_two_flat_clouds_across_each_other() -> None:
    # Each spreads along an axis the other has not: the covariances have rank 1 and share nothing.
    along = np.array([[-1.0], [0.0], [1.0]])
    first, second = along * np.array([[2.0, 0.0]]), along * np.array([[0.0, 3.0]])
    assert frechet_distance(first, second) == pytest.approx(4.0 + 9.0)


def test_float32_features_are_summed_in_float64() -> None:
    one = cloud(8).astype(np.float32) + np.float32(1000)
    expected = frechet_distance(one.astype(np.float64), one.astype(np.float64) * 1.01)
    assert frechet_distance(one, one.astype(np.float64) * 1.01) == pytest.approx(expected)


def test_what_cannot_be_compared_is_refused() -> None:
    one = cloud(9)
    with pytest.raises(GeometryMismatch, match="4 channels"):
        frechet_distance(one, one[:, :4])
    with pytest.raises(GeometryMismatch, match="at least two"):
        frechet_distance(one, one[:1])
    with pytest.raises(GeometryMismatch, match="at least two"):
        frechet_distance(one[0], one)
    with pytest.raises(GeometryMismatch, match="NaN"):
        frechet_distance(one, np.full_like(one, np.nan))

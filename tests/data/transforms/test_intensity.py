"""Appearance: what moves with its class and what stays, noise of the SD and colour asked for, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.data.transforms.intensity import (
    BOWEL,
    HIGHEST,
    LOW_VARIATION_CLASSES,
    LOWEST,
    RandomIntensity,
    coloured_noise,
)
from lowdose.organ_classes import CLASSES, INDEX

PLAIN = RandomIntensity(texture=(1.0, 1.0), oral=0.0)
QUIET = RandomIntensity(shading_hu=0.0, noise_hu=(1e-3, 1e-3), streaks=0.0)
"""A scanner with next to no noise: what is left is its kernel."""


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def tiles(side: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Every class a square of its own, of 10 HU a class; (HU, classes)."""
    wide = int(np.ceil(np.sqrt(len(CLASSES))))
    classes = np.minimum(np.arange(wide * wide).reshape(wide, wide), len(CLASSES) - 1)
    classes = classes.repeat(side, 0).repeat(side, 1).astype(np.uint8)
    return 10.0 * classes.astype(np.float32), classes


def moves(appearance: RandomIntensity, seed: int) -> np.ndarray:
    """How far each class was moved, (classes,)."""
    hu, classes = tiles()
    moved = appearance.tissues(hu, classes, rng(seed)) - hu
    found = np.array([moved[classes == number].mean() for number in range(len(CLASSES))])
    np.testing.assert_allclose(moved, found[classes], atol=1e-3)  # a class as a whole
    return found


def test_every_class_moves_by_itself_and_fat_and_air_by_a_quarter() -> None:
    found = np.array([moves(replace(PLAIN, tissue_hu=(40.0,)), seed) for seed in range(100)])
    stiff = np.isin(np.arange(len(CLASSES)), LOW_VARIATION_CLASSES)
    assert found[:, ~stiff].std() == pytest.approx(40, rel=0.05)
    assert found[:, stiff].std() == pytest.approx(10, rel=0.1)
    assert np.abs(found.mean(axis=0)).max() < 20
    assert np.abs(np.corrcoef(found.T) - np.eye(len(CLASSES))).max() < 0.5


def test_one_amount_is_drawn_for_the_whole_slice() -> None:
    spread = [moves(replace(PLAIN, tissue_hu=(2.0, 100.0)), seed)[1:].std() for seed in range(60)]
    assert sum(value < 4 for value in spread) + sum(value > 60 for value in spread) == 60
    assert 15 < sum(value > 60 for value in spread) < 45


def test_contrast_in_the_bowel_lifts_all_of_it_alike() -> None:
    for seed in range(20):
        found = moves(replace(PLAIN, tissue_hu=(1e-3,), oral=1.0), seed)
        assert np.ptp(found[list(BOWEL)]) < 0.01
        assert 60 <= found[BOWEL[0]] <= 350
        assert np.abs(np.delete(found, BOWEL)).max() < 0.01
    given = [moves(replace(PLAIN, tissue_hu=(1e-3,), oral=0.3), seed)[BOWEL[0]] > 1 for seed in range(100)]
    assert 0.15 < np.mean(given) < 0.45


def test_texture_grows_and_shrinks_but_for_the_bowel() -> None:
    liver, colon = INDEX["liver"], INDEX["colon"]
    classes = np.full((60, 60), liver, np.uint8)
    classes[30:] = colon
    hu = rng(0).normal(50, 5, classes.shape).astype(np.float32)
    gains = []
    for seed in range(60):
        seen = RandomIntensity(tissue_hu=(20.0,), texture=(0.5, 2.0), oral=0.0).tissues(hu, classes, rng(seed))
        gains.append(seen[:30].std() / hu[:30].std())
        assert seen[30:].std() == pytest.approx(hu[30:].std(), rel=0.02)
        assert np.corrcoef(seen[:30].ravel(), hu[:30].ravel())[0, 1] > 0.99
    assert 0.49 < min(gains) < 0.6
    assert 1.8 < max(gains) < 2.02
    assert np.median(gains) == pytest.approx(1.0, abs=0.25)  # log-uniform


def test_partial_volume_gas_and_walls_stay() -> None:
    classes = np.full((40, 40), INDEX["colon"], np.uint8)
    hu = np.full(classes.shape, 40.0, np.float32)
    hu[0, :5] = [-1000, -600, 600, 1200, 100]
    seen = RandomIntensity(tissue_hu=(60.0,), oral=1.0).tissues(hu, classes, rng(0))
    np.testing.assert_allclose(seen[0, :4], hu[0, :4], atol=0.1)
    assert seen[20, 20] - 40 > 20
    assert 0 < seen[0, 4] - 100 < seen[20, 20] - 40


def test_classes_that_are_not_there_do_no_harm() -> None:
    hu, classes = np.zeros((3, 5), np.float32), np.zeros((3, 5), np.uint8)
    seen = RandomIntensity().tissues(hu, classes, rng(0))
    assert seen.dtype == np.float32
    assert np.isfinite(seen).all()


@given(seed=st.integers(0, 10**6), shape=st.tuples(st.integers(5, 70), st.integers(5, 70)))
@settings(max_examples=30, deadline=None)
def test_a_scanner_of_any_size_stores_what_scanners_store(seed: int, shape: tuple[int, int]) -> None:
    hu = rng(seed).choice([-1024, -1000, 0, 3071], shape).astype(np.float32)
    before = hu.copy()
    seen = RandomIntensity().scanner(hu, rng(seed))
    np.testing.assert_array_equal(hu, before)
    assert (seen.shape, seen.dtype) == (shape, np.float32)
    assert LOWEST <= seen.min() <= seen.max() <= HIGHEST
    np.testing.assert_array_equal(RandomIntensity().scanner(hu, rng(seed)), seen)


def test_the_noise_has_the_sd_that_was_asked_for() -> None:
    flat = np.zeros((128, 128), np.float32)
    for wanted in (2.0, 90.0):
        found = [replace(QUIET, noise_hu=(wanted, wanted)).scanner(flat, rng(seed)).std() for seed in range(40)]
        # From place to place it is up to exp(0.5) more or less.
        assert wanted * np.exp(-0.5) < min(found)
        assert max(found) < wanted * np.exp(0.5)
        assert np.mean(found) == pytest.approx(wanted, rel=0.15)
    drawn = np.log([replace(QUIET, noise_hu=(2.0, 90.0)).scanner(flat, rng(seed)).std() for seed in range(200)])
    assert drawn.min() < np.log(3)
    assert drawn.max() > np.log(70)
    assert drawn.mean() == pytest.approx(np.log(2 * 90) / 2, abs=0.25)  # log-uniform


def test_shading_is_slow_and_no_more_than_asked_for() -> None:
    flat = np.zeros((100, 100), np.float32)
    drifts = np.array([replace(QUIET, shading_hu=15.0).scanner(flat, rng(seed)) for seed in range(40)])
    assert 10 < np.abs(drifts).max() <= 15.1
    assert np.abs(np.diff(drifts, axis=2)).max() < 15 * 2 / 20 * 1.6  # 2 from point to point, a fifth apart
    assert np.abs(drifts).max(axis=(1, 2)).min() < 2


def test_kernels_blur_or_sharpen() -> None:
    step = np.zeros((40, 40), np.float32)
    step[:, 20:] = 200.0
    seen = np.array([QUIET.scanner(step, rng(seed))[20] for seed in range(150)])
    overshoot = seen.max(axis=1) - 200
    sharper = overshoot > 0.5
    assert 0.2 < sharper.mean() < 0.55
    assert overshoot.max() < 0.8 * 100
    assert np.abs(seen[:, [3, -4]] - [0, 200]).max() < 0.1
    slopes = np.diff(seen[~sharper], axis=1).max(axis=1)
    assert slopes.min() == pytest.approx(200 / np.sqrt(2 * np.pi) / 1.2, rel=0.1)  # the largest Gaussian
    assert slopes.max() > 190


def test_streaks_lie_along_the_rows() -> None:
    flat = np.zeros((96, 96), np.float32)

    def along_over_down(streaks: float, seed: int) -> float:
        seen = replace(QUIET, noise_hu=(30.0, 30.0), streaks=streaks).scanner(flat, rng(seed))
        rows, columns = seen[:, :-8] * seen[:, 8:], seen[:-8] * seen[8:]
        return float((rows.mean() - columns.mean()) / seen.var())

    assert np.mean([along_over_down(1.0, seed) for seed in range(20)]) > 0.2
    assert abs(np.mean([along_over_down(0.0, seed) for seed in range(20)])) < 0.05


class Fixed(np.random.Generator):
    """Gives the numbers listed for ``uniform``."""

    def __init__(self, seed: int, numbers: Sequence[float]) -> None:
        super().__init__(np.random.PCG64(seed))
        self.numbers = list(numbers)

    def uniform(self, low: float = 0.0, high: float = 1.0, size: object = None) -> float:  # type: ignore[override]
        assert low <= self.numbers[0] <= high
        return self.numbers.pop(0)


@pytest.mark.parametrize(("power", "end"), [(0.0, 0.5), (0.7, 0.1), (0.5, 0.25)])
def test_noise_is_of_the_colour_of_filtered_back_projection(power: float, end: float) -> None:
    size, count = 96, 40
    power_spectrum = np.zeros((size, size))
    for seed in range(count):
        noise = coloured_noise((size, size), Fixed(seed, [power, end]))
        assert noise.dtype == np.float32
        assert noise.std() == pytest.approx(1, abs=1e-4)
        power_spectrum += np.abs(np.fft.fft2(noise)) ** 2 / count / size**2
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    expected = f ** (2 * power) * np.exp(-np.square(f / end))
    expected /= expected.mean()  # of variance 1
    for low in np.arange(0.02, 0.5, 0.06):
        ring = (f >= low) & (f < low + 0.06)
        if expected[ring].mean() > 1e-3:
            assert power_spectrum[ring].mean() == pytest.approx(expected[ring].mean(), rel=0.1)


@pytest.mark.parametrize("shape", [(33, 64), (64, 33), (7, 5)])
def test_noise_of_odd_sizes(shape: tuple[int, int]) -> None:
    noise = coloured_noise(shape, rng(0))
    assert noise.shape == shape
    assert noise.std() == pytest.approx(1, abs=1e-3)

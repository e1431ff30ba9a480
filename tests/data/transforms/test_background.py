"""Couches and tubes around a patient: nothing of the patient is touched, and the couch lies below."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.data.transforms.background import UNCHANGED_SHARE, randomise_background
from lowdose.image import AIR
from lowdose.organ_classes import INDEX

PIXEL = 4.0


def body(shape: tuple[int, int] = (90, 100)) -> tuple[np.ndarray, np.ndarray]:
    """A patient of 60 HU on a couch of 500 HU; (HU, classes)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = np.hypot(y - 40, x - 50) < 25
    hu = np.where(inside, 60.0, -1000.0).astype(np.float32)
    hu[75:77] = 500
    return hu, np.where(inside, INDEX["liver"], INDEX["outside"]).astype(np.uint8)


def drawn(count: int) -> list[np.ndarray]:
    return [randomise_background(*body(), PIXEL, np.random.default_rng(seed)) for seed in range(count)]


@given(seed=st.integers(0, 10**6), shape=st.tuples(st.integers(80, 110), st.integers(80, 110)))
@settings(max_examples=30, deadline=None)
def test_patients_stay_as_they_are(seed: int, shape: tuple[int, int]) -> None:
    hu, classes = body(shape)
    before = hu.copy()
    seen = randomise_background(hu, classes, PIXEL, np.random.default_rng(seed))
    np.testing.assert_array_equal(hu, before)
    assert (seen.shape, seen.dtype) == (hu.shape, np.float32)
    np.testing.assert_array_equal(seen[classes > 0], 60.0)
    assert AIR <= seen.min() <= seen.max() <= 500
    np.testing.assert_array_equal(randomise_background(hu, classes, PIXEL, np.random.default_rng(seed)), seen)


def test_some_slices_keep_the_couch_they_came_with_and_the_others_lose_it() -> None:
    hu, _ = body()
    kept = [np.array_equal(seen, hu) for seen in drawn(200)]
    assert np.mean(kept) == pytest.approx(UNCHANGED_SHARE, abs=0.1)
    # What is above any new couch, away from the tubes, is air.
    assert np.median([seen[5, 50] for seen in drawn(50)]) == AIR


def test_couches_lie_below_and_tubes_anywhere() -> None:
    new = np.array([seen for seen in drawn(200) if (seen[75:77] == 500).mean() < 0.9])
    dense = (new > AIR).mean(axis=0)
    assert dense[66:80, 50].max() > 0.7  # the lowest row of the patient is 64
    assert 0 < dense[:40, :20].mean() < 0.2
    assert dense[85:, :2].max() < dense[70, 40]


def test_an_empty_slice_gets_a_couch_too() -> None:
    hu, classes = np.full((90, 100), AIR, np.float32), np.zeros((90, 100), np.uint8)
    seen = [randomise_background(hu, classes, PIXEL, np.random.default_rng(seed)) for seed in range(20)]
    assert sum(part.max() > AIR for part in seen) > 5

"""Squares within a region."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.rois import corners_within, cut_squares, flattest_squares


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 5), st.sampled_from([0.25, 0.5, 0.9, 1.0]))
def test_every_square_that_fits_is_found(seed: int, size: int, step: int, share: float) -> None:
    region = np.random.default_rng(seed).random((17, 23)) < 0.9
    expected = [
        (y, x)
        for y in range(0, 17 - size + 1, step)
        for x in range(0, 23 - size + 1, step)
        if region[y : y + size, x : x + size].sum() >= share * size**2
    ]
    assert [tuple(corner) for corner in corners_within(region, size, step, share)] == expected


def test_squares_are_copies_of_what_lies_there() -> None:
    image = np.arange(30.0).reshape(5, 6)
    cut = cut_squares(image, np.array([[1, 2], [0, 0]]), 3)
    assert np.array_equal(cut[0], image[1:4, 2:5])
    cut[:] = -1
    assert image.min() == 0.0


def test_no_square_fits() -> None:
    assert corners_within(np.ones((5, 9), bool), 6, 2).shape == (0, 2)
    assert corners_within(np.zeros((9, 9), bool), 4, 2, 0.1).shape == (0, 2)
    assert cut_squares(np.zeros((9, 9)), np.empty((0, 2), np.intp), 4).shape == (0, 4, 4)


def test_impossible_squares_are_refused() -> None:
    with pytest.raises(GeometryMismatch, match="plane"):
        corners_within(np.ones((2, 9, 9), bool), 4, 2)
    for size, step, share in ((0, 1, 1.0), (4, 0, 1.0), (4, 1, 0.0), (4, 1, 1.1), (4, 1, float("nan"))):
        with pytest.raises(InvalidSetting, match="share"):
            corners_within(np.ones((9, 9), bool), size, step, share)


def test_flattest_squares_do_not_overlap_and_avoid_edges_and_fat() -> None:
    image = np.full((128, 128), -1000.0, np.float32)
    image[10:120, 10:120] = 60  # soft tissue
    image[40:60, 40:60] = 200  # bright
    image[70:120, 10:60] = -100  # fat
    corners = flattest_squares(image, 16, 50)
    assert 5 < len(corners) < 50
    for y, x in corners:
        assert (image[y : y + 16, x : x + 16] == 60).all()
    distance = np.abs(corners[:, None] - corners[None]).max(axis=2)
    assert distance[~np.eye(len(corners), dtype=bool)].min() >= 16
    assert len(flattest_squares(image, 16, 3)) == 3
    assert flattest_squares(np.full((64, 64), -1000.0, np.float32), 16, 3).shape == (0, 2)

"""Dice: closed forms, the rules for what is absent, and what no counting slice by slice may change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.label_overlap import Overlap, dice

CLASSES = 4
MAPS = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(
        *(hnp.arrays(kind, shape, elements=st.integers(0, CLASSES - 1)) for kind in (np.uint8, np.int64))
    )
)


def slowly(labels: np.ndarray, reference: np.ndarray, label: int) -> float:
    """The formula, voxel by voxel."""
    a = {tuple(place) for place in np.argwhere(labels == label)}
    b = {tuple(place) for place in np.argwhere(reference == label)}
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else np.nan


def test_two_shifted_squares() -> None:
    first, second = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    first[0:4, 0:4] = 1
    second[1:5, 0:4] = 1  # 12 of 16 pixels in common
    assert dice(first, second, 2) == pytest.approx([2 * 44 / 96, 2 * 12 / 32])


def test_a_disc_inside_a_larger_one() -> None:
    """Areas pi r^2 and pi R^2, one within the other: 2 r^2 / (r^2 + R^2), up to the pixels of the edge."""
    y, x = np.mgrid[:400, :400] - 199.5
    small, large = ((np.hypot(y, x) < radius).astype(np.uint8) for radius in (90, 150))
    assert dice(small, large, 2)[1] == pytest.approx(2 * 90**2 / (90**2 + 150**2), abs=2e-3)


def test_absent_in_both_is_not_counted_and_absent_in_one_is_nothing() -> None:
    first, second = np.array([[0, 0, 1]]), np.array([[0, 0, 2]])
    found = dice(first, second, 4)
    assert found[:3] == pytest.approx([1.0, 0.0, 0.0])
    assert np.isnan(found[3])
    assert np.isnan(Overlap(3).dice()).all()


@settings(deadline=None)  # a busy machine is no error
@given(MAPS)
def test_it_is_the_formula_symmetric_and_one_at_identity(maps: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = maps
    found = dice(first, second, CLASSES)
    np.testing.assert_allclose(found, [slowly(first, second, label) for label in range(CLASSES)])
    np.testing.assert_array_equal(found, dice(second, first, CLASSES))
    same = dice(first, first, CLASSES)
    np.testing.assert_array_equal(same[np.unique(first)], 1.0)
    assert np.nanmax(same) == np.nanmin(same) == 1.0


@settings(deadline=None)  # a busy machine is no error
@given(MAPS)
def test_slice_by_slice_is_the_whole_volume(maps: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = maps
    overlap = Overlap(CLASSES)
    for one, other in zip(first, second, strict=True):
        overlap.add(one, other)
    np.testing.assert_array_equal(overlap.dice(), dice(first, second, CLASSES))
    np.testing.assert_array_equal(overlap.reference, [np.count_nonzero(second == label) for label in range(CLASSES)])
    assert overlap.found.sum() == first.size


@settings(deadline=None)  # a busy machine is no error
@given(MAPS, st.permutations(range(CLASSES)))
def test_renaming_classes_renames_the_results(maps: tuple[np.ndarray, np.ndarray], order: list[int]) -> None:
    table = np.array(order)
    np.testing.assert_array_equal(dice(table[maps[0]], table[maps[1]], CLASSES)[table], dice(*maps, CLASSES))


def test_other_shapes_and_numbers_are_refused() -> None:
    with pytest.raises(GeometryMismatch, match=r"\(2, 2\)"):
        dice(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    for wrong in (-1, 7):
        with pytest.raises(InvalidSetting, match=str(wrong)):
            dice(np.array([0, wrong]), np.array([0, 0]), 7)

"""HD95: closed forms, the formula over all pairs of surface voxels, and what has no distance."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics import hausdorff_95


def box(shape: tuple[int, ...], *sides: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels of the mask with a face neighbour that is outside of it; all outside of the array is."""
    steps = [
        tuple(sign * (axis == other) for other in range(mask.ndim)) for axis in range(mask.ndim) for sign in (1, -1)
    ]
    padded = np.pad(mask, 1)

    def is_edge(place: np.ndarray) -> bool:
        return not all(padded[tuple(place + np.array(step) + 1)] for step in steps)

    return [tuple(place) for place in np.argwhere(mask) if is_edge(place)]


def slowly(first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...]) -> float:
    """The formula, over all pairs of surface voxels."""
    a, b = (np.array(surface(mask)) * spacing for mask in (first, second))
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))
    return float(max(np.percentile(distances.min(axis=axis), 95) for axis in (0, 1)))


def blob(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.2)
    mask: np.ndarray = noise > np.quantile(noise, 0.8)
    return mask


@pytest.mark.parametrize(("axis", "expected"), [(0, 2 * 3.0), (1, 2 * 0.8), (2, 2 * 0.5)])
def test_a_cube_moved_by_two_voxels_is_two_spacings_away(axis: int, expected: float) -> None:
    """More than 5 % of its surface, the face at its end, has moved by that."""
    sides = [(6, 14)] * 3
    moved = [(low + 2, high + 2) if n == axis else (low, high) for n, (low, high) in enumerate(sides)]
    first, second = box((20, 20, 20), *sides), box((20, 20, 20), *moved)
    assert hausdorff_95(first, second, (3.0, 0.8, 0.5)) == pytest.approx(expected)


def test_one_slice_is_compared_in_its_plane() -> None:
    first, second = box((20, 20), (4, 12), (4, 12)), box((20, 20), (4, 12), (7, 15))
    assert hausdorff_95(first, second, (0.7, 0.5)) == pytest.approx(3 * 0.5)


def test_a_few_far_voxels_are_above_the_percentile() -> None:
    first = box((40, 40), (10, 30), (10, 30))
    second = first.copy()
    second[0, 0] = True  # 1 of 77 surface pixels
    assert hausdorff_95(first, second, (1.0, 1.0)) == 0.0
    second[0, :8] = True  # 8 of 84
    assert hausdorff_95(first, second, (1.0, 1.0)) > 10.0


@given(st.integers(0, 999), st.sampled_from([(7, 9, 8), (2, 9, 8), (11, 12)]))
@settings(max_examples=25, deadline=None)
def test_the_formula_slowly_and_both_ways(seed: int, shape: tuple[int, ...]) -> None:
    first, second = blob(seed, shape), blob(seed + 1, shape)
    spacing = (2.5, 0.7, 0.9)[-len(shape) :]
    found = hausdorff_95(first, second, spacing)
    assert found == pytest.approx(slowly(first, second, spacing), rel=1e-5)
    assert found == pytest.approx(hausdorff_95(second, first, spacing), rel=1e-6)
    assert hausdorff_95(first, first, spacing) == 0.0


def test_the_cut_at_the_end_of_a_stack_is_surface() -> None:
    """With few slices most voxels are of the cut and agree: 2 slices give an area's percentile, not a contour's."""
    for slices, expected in ((2, 2.0), (20, 3.0)):
        first, second = (box((slices, 64, 64), (0, slices), (16, 48), (16 + move, 48 + move)) for move in (0, 3))
        assert hausdorff_95(first, second, (3.0, 1.0, 1.0)) == pytest.approx(expected)


def test_an_empty_mask_has_no_distance_and_nothing_is_said() -> None:
    mask, empty = box((8, 8), (2, 6), (2, 6)), np.zeros((8, 8), bool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(np.isnan(hausdorff_95(*pair, (1.0, 1.0))) for pair in ((mask, empty), (empty, mask), (empty, empty)))
        assert hausdorff_95(mask, mask, (1.0, 1.0)) == 0.0


def test_what_cannot_be_compared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = box((8, 8), (2, 6), (2, 6))
    with pytest.raises(GeometryMismatch, match=r"\(8, 8\) and \(8, 4\)"):
        hausdorff_95(mask, mask[:, :4], (1.0, 1.0))
    for spacing in ((1.0, 1.0, 1.0), (1.0, 0.0), (1.0, np.nan)):
        with pytest.raises(GeometryMismatch, match="2 positive numbers"):
            hausdorff_95(mask, mask, spacing)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(InvalidSetting, match=r"lowdose\[organs\]"):
        hausdorff_95(mask, mask, (1.0, 1.0))

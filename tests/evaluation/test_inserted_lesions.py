"""Lesions are drawn in their organs, from their ranges, the same again from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.evaluation.inserted_lesions import EACH, LESIONS, draw_lesions

SIDES = (1.0, 1.0)


def slice_with_organs() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(1, y, x) HU of three organs with some noise, and their masks."""
    organs = {name: np.zeros((160, 160), bool) for name in LESIONS}
    organs["liver"][20:80, 20:80] = organs["kidney"][90:150, 10:70] = organs["lung"][90:150, 90:150] = True
    hu = np.random.default_rng(0).normal(0, 5, (1, 160, 160))
    return (hu + np.where(organs["lung"], -800.0, 60.0)).astype(np.float32), organs


def test_every_organ_gets_its_lesions_within_their_ranges() -> None:
    hu, organs = slice_with_organs()
    added, lesions = draw_lesions(hu, organs, SIDES, 3.0, np.random.default_rng(1))
    assert {lesion.organ for lesion in lesions} == set(LESIONS)
    for lesion in lesions:
        kind, (top, left, bottom, right) = LESIONS[lesion.organ], lesion.box
        assert kind.diameter_mm[0] <= lesion.diameter_mm <= kind.diameter_mm[1]
        assert kind.contrast_hu[0] <= lesion.contrast_hu <= kind.contrast_hu[1]
        assert organs[lesion.organ][int(top) : int(bottom), int(left) : int(right)].all()
        assert added[0][lesion.mask[0]].mean() == pytest.approx(lesion.contrast_hu, rel=0.5)
    counts = [sum(lesion.organ == organ for lesion in lesions) for organ in LESIONS]
    assert 0 < max(counts) <= EACH
    outside = ~np.any(list(organs.values()), axis=0)
    assert not added[0][outside].any()


def test_the_same_seed_gives_the_same_lesions() -> None:
    hu, organs = slice_with_organs()
    first, again, other = (draw_lesions(hu, organs, SIDES, 3.0, np.random.default_rng(n))[0] for n in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_neighbouring_slices_hold_the_rest_of_the_ball() -> None:
    hu, organs = slice_with_organs()
    stack = np.repeat(hu, 3, axis=0)
    added, _ = draw_lesions(stack, {"liver": organs["liver"]}, SIDES, 3.0, np.random.default_rng(1), step_mm=3.0)
    share = np.abs(added).sum(axis=(1, 2))
    assert share[1] > share[0] > 0
    assert share[1] > share[2] > 0


def test_no_room_no_lesion() -> None:
    hu, organs = slice_with_organs()
    narrow = np.zeros_like(organs["liver"])
    narrow[20:26] = True
    added, lesions = draw_lesions(hu, {"liver": narrow}, SIDES, 3.0, np.random.default_rng(1))
    assert not lesions
    assert not added.any()

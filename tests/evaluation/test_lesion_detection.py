"""Figures of a detector in closed form: perfect, blind, and one that loses a known share of the lesions."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.evaluation.lesion_detection import (
    SIZES_MM,
    SliceDetections,
    detection_figures,
    figures,
    match_slice,
    score_at,
    size_name,
)

LESIONS = np.array([[0.0, 0.0, 8.0, 8.0], [20.0, 20.0, 30.0, 32.0]])
DIAMETERS = np.array([6.0, 10.0])


def perfect() -> SliceDetections:
    return match_slice(LESIONS, [0.9, 0.8], LESIONS)


def blind() -> SliceDetections:
    return match_slice(np.zeros((0, 4)), [], LESIONS)


def small_lost() -> SliceDetections:
    """The small lesion is missed, and something else is taken for one."""
    return match_slice([LESIONS[1], [50, 50, 60, 60]], [0.8, 0.7], LESIONS)


def test_perfect_boxes_have_an_average_precision_of_one_and_find_all_at_any_rate() -> None:
    found = figures([perfect()] * 3, [DIAMETERS] * 3)
    assert set(found.values()) == {1.0}
    assert {"ap50", "ap75", "sensitivity at 0.125", "sensitivity at 8", "0-8 mm", "8-12 mm"} <= set(found)
    assert "12-16 mm" not in found  # no lesion is of that size


def test_a_detector_that_says_nothing_has_zero_everywhere() -> None:
    assert set(figures([blind()] * 3, [DIAMETERS] * 3).values()) == {0.0}


def test_boxes_that_fit_loosely_count_at_half_and_not_at_three_quarters() -> None:
    wide = LESIONS[:1] + np.array([0, 0, 0, 4])  # intersection over union 8 / 12
    found = figures([match_slice(wide, [0.9], LESIONS[:1])], [DIAMETERS[:1]])
    assert (found["ap50"], found["ap75"]) == (1.0, 0.0)


def test_sensitivity_by_size_is_read_where_half_a_false_detection_is_made_in_a_slice() -> None:
    found = figures([small_lost(), blind()], [DIAMETERS] * 2)
    assert found["sensitivity at 0.125"] == 0.25
    assert (found["0-8 mm"], found["8-12 mm"]) == (0.0, 0.5)
    assert score_at(small_lost().half, 0.5) == 0.8
    assert score_at(small_lost().half, 1.0) == 0.7
    assert score_at(blind().half, 0.5) == np.inf


def test_every_diameter_has_one_class() -> None:
    for diameter in (0.5, 8.0, 11.9, 16.0, 80.0):
        assert sum(low <= diameter < high for low, high in SIZES_MM) == 1
    assert [size_name(size) for size in SIZES_MM][-1] == "16 mm or more"


def test_differences_are_paired_slice_by_slice() -> None:
    """Some slices are easy and others hopeless in both images: their difference is 0 in every sample."""
    same = [perfect(), blind()] * 4
    found = detection_figures({"low": same, "net": same}, [DIAMETERS] * 8, [1] * 8, range(8))
    ap50 = found.values["net"]["ap50"]
    assert ap50.low < ap50.value < ap50.high
    assert found.changes["net"]["ap50"] == (0.0, 0.0, 0.0)
    assert found.resampled == "slices"


def test_five_patients_are_drawn_whole() -> None:
    """All slices of a patient are alike, so that samples of patients spread more than those of slices."""
    images = {"low": [perfect()] * 12 + [blind()] * 8}
    patients = [number // 4 for number in range(20)]
    by_patient = detection_figures(images, [DIAMETERS] * 20, patients, range(20))
    by_slice = detection_figures(images, [DIAMETERS] * 20, [1] * 20, range(20))
    assert (by_patient.resampled, by_slice.resampled) == ("patients", "slices")
    widths = [each.values["low"]["ap50"].high - each.values["low"]["ap50"].low for each in (by_patient, by_slice)]
    assert widths[0] > 1.5 * widths[1]


def test_one_slice_has_no_interval_and_its_draws_belong_together() -> None:
    found = detection_figures({"low": [perfect(), blind()]}, [DIAMETERS] * 2, [1, 1], ["slice", "slice"])
    value, low, high = found.values["low"]["ap50"]
    assert value == pytest.approx(51 / 101)  # recalls from 0 to 0.5
    assert np.isnan([low, high]).all()

"""HD95 of organs: volumes where the slices are a stack, slice by slice where they are not, and what has none."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.organ_distances import OrganDistances
from lowdose.evaluation.organs import evaluate_organs
from lowdose.image import Geometry
from lowdose.metrics import hausdorff_95
from lowdose.networks import segmentation
from support.evaluation_cases import GEOMETRY, LIVER, SPLEEN, Series, artist, by_threshold, case

DEPTH, PIXEL = 5.0, (2.0, 2.0)


def label_volumes() -> tuple[np.ndarray, np.ndarray]:
    """(labels, reference), 6 slices of 24 x 24: a liver moved by 2 columns, a spleen of slices 1 to 4 moved by one."""
    labels, reference = np.zeros((2, 6, 24, 24), np.uint8)
    reference[:, 2:12, 2:12] = labels[:, 2:12, 4:14] = LIVER
    reference[1:4, 14:22, 14:22] = labels[2:5, 14:22, 14:22] = SPLEEN
    return labels, reference


def distances(
    labels: np.ndarray,
    reference: np.ndarray,
    geometry: Geometry | None = GEOMETRY,
    pairs: list[tuple[int, int]] | None = None,
) -> dict[int, float]:
    series = Series(np.zeros((20, *labels.shape[1:])), geometry)
    pairs = pairs or [(index, index) for index in range(len(labels))]
    found = OrganDistances(case(series, series, pairs=pairs), DEPTH)
    for drawn, true in zip(labels, reference, strict=True):
        found.add({LOW: drawn}, true, PIXEL)
    return found.hd95(LOW, [LIVER, SPLEEN])


def test_a_stack_is_compared_as_a_volume_and_the_box_of_an_organ_is_enough() -> None:
    labels, reference = label_volumes()
    found = distances(labels, reference)
    assert found[LIVER] == pytest.approx(2 * 2.0)
    assert found[SPLEEN] == pytest.approx(DEPTH)
    for organ, value in found.items():
        assert value == hausdorff_95(labels == organ, reference == organ, (DEPTH, *PIXEL))


def test_slices_that_are_no_stack_are_compared_in_their_plane() -> None:
    """The spleen is shown by both in slices 2 and 3, where it has not moved."""
    labels, reference = label_volumes()
    apart = [(index, 2 * index) for index in range(6)]
    for found in (distances(labels, reference, None), distances(labels, reference, pairs=apart)):
        assert found == pytest.approx({LIVER: 2 * 2.0, SPLEEN: 0.0})
    reference[3, 14:22, 14:22] = 0
    reference[3, 14:22, 11:19] = SPLEEN
    assert distances(labels, reference, None)[SPLEEN] == pytest.approx((0 + 3 * 2.0) / 2)  # the mean over slices


def test_a_single_slice_is_compared_in_its_plane() -> None:
    labels, reference = (volume[2:3] for volume in label_volumes())
    for geometry in (GEOMETRY, None):
        assert distances(labels, reference, geometry) == pytest.approx({LIVER: 4.0, SPLEEN: 0.0})


@pytest.fixture
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "segment_slice", by_threshold)


def bodies() -> tuple[np.ndarray, np.ndarray]:
    """(low, full): a liver moved by 2 columns, and a spleen that the low dose lacks."""
    low, full = np.zeros((2, 4, 24, 24))
    full[:, 2:12, 2:12] = low[:, 2:12, 4:14] = 100.0
    full[:, 14:22, 14:22] = 200.0
    return low, full


@pytest.mark.usefixtures("thresholds")
def test_rows_hold_the_distance_where_there_is_one() -> None:
    low, full = bodies()
    result = evaluate_organs([case(Series(low), Series(full))], [], artist(), 1.0, lambda done: None)
    rows = {(row.image, row.organ): row for row in result.rows}
    assert rows[LOW, "liver"].hd95_mm == pytest.approx(4.0)
    assert rows[LOW, "spleen"].dice == 0.0
    assert all(np.isnan(rows[key].hd95_mm) for key in ((LOW, "spleen"), (FULL, "liver")))
    assert result.summary(LOW, None, "hd95_mm").mean == pytest.approx(4.0)
    assert result.warnings == []


@pytest.mark.usefixtures("thresholds")
def test_without_pixel_size_there_is_no_distance() -> None:
    low, full = bodies()
    sources = Series(low, None), Series(full, None)
    for source in sources:
        source.planes = [SimpleNamespace(position=None, pixel_mm=None)] * 4
    result = evaluate_organs([case(*sources)], [], artist(), 1.0, lambda done: None)
    assert all(np.isnan(row.hd95_mm) for row in result.rows)
    assert result.summary(LOW, "liver").mean == pytest.approx(0.8)


@pytest.mark.usefixtures("thresholds")
def test_without_monai_all_else_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    low, full = bodies()
    pair = case(Series(low), Series(full))
    with_it = evaluate_organs([pair], [], artist(), 1.0, lambda done: None)
    monkeypatch.setitem(sys.modules, "monai", None)
    without = evaluate_organs([pair], [], artist(), 1.0, lambda done: None)
    assert without.warnings == ["HD95 is left out: MONAI is not installed; pip install 'lowdose[organs]'"]
    assert all(np.isnan(row.hd95_mm) for row in without.rows)
    same = [repr([replace(row, hd95_mm=0.0) for row in result.rows]) for result in (with_it, without)]
    assert same[0] == same[1]

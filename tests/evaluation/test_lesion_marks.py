"""Boxes, regions, windows and weights of lesions on discs of known size and contrast."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.boxes import Box
from lowdose.evaluation.lesion_marks import ANNOTATED, annotated_lesion, inserted_lesion, region_of
from lowdose.evaluation.lesion_measures import measure_lesion
from lowdose.hounsfield import LUNG, SOFT_TISSUE
from lowdose.io.findings.finding import Part
from lowdose.phantom.slice_lesions import SliceLesion

AWAY = np.hypot(*np.meshgrid(np.arange(64) - 29.5, np.arange(64) - 33.5, indexing="ij"))
BOX = (24.0, 28.0, 36.0, 40.0)  # of the disc of 6 pixels around (29.5, 33.5)
VALID = np.ones((64, 64), bool)


def disc(contrast: float, around: float = 60.0) -> np.ndarray:
    return np.where(AWAY < 6, around + contrast, around).astype(np.float32)


@pytest.mark.parametrize("inside", [None, AWAY[24:36, 28:40] < 6])
def test_an_annotated_disc_has_its_size_and_contrast_with_and_without_an_outline(inside: np.ndarray | None) -> None:
    lesion, weights = annotated_lesion("cyst", Part(BOX, inside), disc(-40.0), VALID, 0.8)
    assert lesion.diameter_mm == pytest.approx(12 * 0.8, rel=0.02 if inside is not None else 1e-6)
    assert lesion.contrast_hu == pytest.approx(-40.0, rel=1e-4)
    assert (lesion.organ, lesion.shape, lesion.box, lesion.window) == ("cyst", ANNOTATED, BOX, SOFT_TISSUE)
    assert weights.sum() == pytest.approx(0.0, abs=1e-5)


def test_padding_is_no_part_of_a_lesion_or_its_ring() -> None:
    valid = VALID.copy()
    valid[:26] = False
    padded = np.where(valid, disc(-40.0), -1000.0).astype(np.float32)
    assert annotated_lesion("", Part(BOX), padded, valid, 1.0).lesion.contrast_hu == pytest.approx(-40.0, rel=1e-4)
    lost = annotated_lesion("", Part(BOX), padded, ~VALID, 1.0)
    assert (lost.lesion.contrast_hu, lost.lesion.diameter_mm) == (0.0, pytest.approx(12.0))
    assert "contrast_kept" not in measure_lesion(lost, *[padded] * 4)


@pytest.mark.parametrize("box", [(29.5, 33.5, 30.5, 34.5), (29.8, 33.9, 30.1, 34.1), (63.8, 0.0, 64.0, 0.1)])
def test_a_box_between_the_centres_of_pixels_has_the_pixel_in_its_middle(box: Box) -> None:
    weights = annotated_lesion("", Part(box), disc(-40.0), VALID, 1.0).weights
    assert np.argwhere(weights > 0).tolist() == [[int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)]]


def test_contrast_is_compared_with_full_dose_where_there_is_enough_of_it() -> None:
    full, half = disc(-40.0), disc(-20.0)
    mark = annotated_lesion("", Part(BOX), full, VALID, 1.0)
    assert mark.lesion.organ == "finding"
    assert measure_lesion(mark, half, full, half, full)["contrast_kept"] == pytest.approx(0.5, rel=1e-4)
    faint = disc(-5.0)
    values = measure_lesion(annotated_lesion("", Part(BOX), faint, VALID, 1.0), half, faint, half, faint)
    assert "contrast_kept" not in values
    assert {"correlation", "roi_psnr"} <= set(values)


def test_the_window_is_that_of_lungs_where_there_is_air_around() -> None:
    nodule = annotated_lesion("nodule", Part(BOX), disc(800.0, around=-800.0), VALID, 1.0)
    assert nodule.lesion.window == LUNG
    values = measure_lesion(nodule, *[disc(700.0, around=-800.0), disc(800.0, around=-800.0)] * 2)
    error = 100 * np.sqrt((AWAY < 6).sum()) / 16  # of the 16 x 16 pixels of the region
    assert values["roi_rmse"] == pytest.approx(error)
    assert values["roi_psnr"] == pytest.approx(20 * np.log10(LUNG.width / error))


def test_the_contrast_of_an_inserted_lesion_is_that_of_its_core() -> None:
    mask = (AWAY < 6)[None]
    lesion = SliceLesion("liver", "metastasis", (29.5, 33.5), 9.6, -40.0, mask)
    mark = inserted_lesion(lesion, disc(-40.0), 0.8)
    assert mark.lesion.box == BOX
    assert np.array_equal(mark.weights > 0, AWAY <= 3.6)
    change = np.where(AWAY < 4, -10.0, 99.0)
    assert measure_lesion(mark, disc(0), disc(-40), change, disc(-40, 0))["contrast_kept"] == pytest.approx(0.25)


def test_regions_hold_all_that_a_box_touches_and_end_with_the_image() -> None:
    assert region_of((10.2, 20.0, 14.9, 25.5), (64, 64)) == (slice(8, 17), slice(18, 28))
    assert region_of((0.0, 60.0, 3.0, 64.0), (64, 64)) == (slice(0, 5), slice(58, 64))

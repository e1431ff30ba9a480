"""Where a lesion lies and how large it is, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lowdose.image import Vector
from lowdose.infer.lesions import DetectedLesion, LesionBox, box_around, centre_mm, extent_mm
from lowdose.io.source import Plane

AXES = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
BOXES = (LesionBox(1, (10.0, 30.0, 14.0, 36.0), 0.6), LesionBox(2, (11.0, 30.0, 16.0, 38.0), 0.9))


def plane(index: int) -> Plane:
    return Plane((64, 64), (0.5, 0.8), (-20.0, -30.0, 3.0 * index), AXES, 3.0 * index)


PLANES = [plane(index) for index in range(4)]


def test_the_box_around_and_the_best_box() -> None:
    assert box_around(BOXES) == (10, 30, 16, 38)
    lesion = DetectedLesion(BOXES, 40.0, (None, None, None), None)
    assert (lesion.score, lesion.best) == (0.9, BOXES[1])


def test_size_counts_both_slices_whole() -> None:
    assert extent_mm(BOXES, PLANES, 3.0) == pytest.approx((6.0, 6 * 0.5, 8 * 0.8))
    assert extent_mm(BOXES[:1], PLANES, 3.0) == pytest.approx((3.0, 4 * 0.5, 6 * 0.8))


def test_size_without_what_is_not_stated() -> None:
    bare = [Plane((64, 64))] * 4
    assert extent_mm(BOXES[:1], bare, None) == (None, None, None)
    assert extent_mm(BOXES[:1], [replace(each, pixel_mm=(0.5, 0.8)) for each in bare], None) == pytest.approx(
        (None, 2.0, 4.8)
    )
    assert centre_mm(BOXES[:1], bare) is None


def test_the_centre_of_an_axial_series() -> None:
    # rows 10 to 16, so row 12.5 counted from the centre of the first pixel; columns 30 to 38, so 33.5
    assert centre_mm(BOXES, PLANES) == pytest.approx((-20 + 33.5 * 0.8, -30 + 12.5 * 0.5, 4.5))


def test_a_box_of_one_pixel_lies_at_the_centre_of_that_pixel() -> None:
    corner = PLANES[0].corner
    assert corner is not None
    assert centre_mm([LesionBox(0, (0.0, 0.0, 1.0, 1.0), 1.0)], PLANES) == pytest.approx(corner)


def test_the_centre_of_slices_that_lean() -> None:
    tilt = math.radians(20)
    down: Vector = (0.0, math.cos(tilt), math.sin(tilt))
    leaning = [replace(each, axes=(down, AXES[1])) for each in PLANES]
    x, y, z = centre_mm(BOXES, leaning) or (0, 0, 0)
    assert (x, y, z) == pytest.approx(
        (-20 + 33.5 * 0.8, -30 + 12.5 * 0.5 * math.cos(tilt), 4.5 + 12.5 * 0.5 * math.sin(tilt))
    )

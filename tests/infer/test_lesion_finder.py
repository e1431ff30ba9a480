"""Lesions of a series from boxes that are given: what continues, what ends, what is measured and what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lowdose.boxes import Box
from lowdose.image import HU, Acquisition, Slice
from lowdose.infer.lesion_finder import PICTURE_PX, SHOWN, LesionFinder
from lowdose.infer.lesions import DetectedLesion
from lowdose.networks.detection.detector import Detections, LesionDetector
from lowdose.volume import Volume
from lowdose.volume_source import VolumeSource

Found = list[tuple[Box, float]]
A: Box = (10.0, 12.0, 20.0, 24.0)
B: Box = (40.0, 40.0, 50.0, 50.0)


class Given(LesionDetector):
    """Finds what it is told, slice by slice, and keeps what it was shown."""

    def __init__(self, found: list[Found]) -> None:
        super().__init__(1, 1, 1, 1)
        self.found, self.shown = list(found), list[Tensor]()

    def detect(self, slices: Tensor) -> list[Detections]:
        self.shown.append(slices)
        boxes = self.found.pop(0)
        return [Detections(torch.tensor([b for b, _ in boxes]).reshape(-1, 4), torch.tensor([s for _, s in boxes]))]


def series(count: int, side: int = 64) -> VolumeSource:
    hu = np.arange(side * side, dtype=np.float32).reshape(side, side) / 10
    return VolumeSource(Volume.from_array(np.stack([hu] * count), (3.0, 0.5, 0.8)))


def lesions_of(found: list[Found], source: VolumeSource | None = None, least: float = 0.5) -> list[DetectedLesion]:
    source = source or series(len(found))
    finder = LesionFinder(Given(found), source, least)
    for index in range(len(found)):
        finder.write(source.read(index), source.read(index).hu)
    return finder.lesions()


def test_boxes_that_follow_each_other_are_one_lesion_and_the_best_comes_first() -> None:
    shifted: Box = (11.0, 12.0, 21.0, 24.0)
    first, second = lesions_of([[(A, 0.6), (B, 0.9)], [(shifted, 0.8)], []])
    assert [(each.slice, each.box, round(each.score, 3)) for each in second.boxes] == [(0, A, 0.6), (1, shifted, 0.8)]
    assert [each.slice for each in first.boxes] == [0]
    assert second.extent_mm == pytest.approx((6.0, 11 * 0.5, 12 * 0.8))


def test_a_slice_without_it_ends_a_lesion() -> None:
    assert sorted([each.slice for each in lesion.boxes] for lesion in lesions_of([[(A, 0.9)], [], [(A, 0.9)]])) == [
        [0],
        [2],
    ]


def test_boxes_below_the_score_do_not_count() -> None:
    assert lesions_of([[(A, 0.49)]]) == []
    assert len(lesions_of([[(A, 0.5)]])) == 1


def test_a_missing_slice_and_another_stack_end_a_lesion() -> None:
    found: list[Found] = [[(A, 0.9)]] * 6
    apart, stacked = series(6), series(6)
    apart.planes = [replace(p, position=3.0 * (i + 2 * (i > 2))) for i, p in enumerate(apart.planes)]
    stacked.planes = [replace(p, stack=i // 3) for i, p in enumerate(stacked.planes)]
    for source in (apart, stacked):
        assert [[each.slice for each in one.boxes] for one in lesions_of(found, source)] == [[0, 1, 2], [3, 4, 5]]
    unknown = series(6)
    unknown.planes = [replace(plane, position=None, corner=None) for plane in unknown.planes]
    assert [len(lesion.boxes) for lesion in lesions_of(found, unknown)] == [1] * 6


def test_the_mean_is_that_of_the_input_over_the_pixels_whose_centres_lie_inside() -> None:
    source = series(2)
    item = source.read(0)
    finder = LesionFinder(Given([[((9.6, 11.7, 20.4, 24.3), 0.9)], [(A, 0.9)]]), source, 0.5)
    for _ in range(2):
        finder.write(item, np.zeros_like(item.hu))
    assert finder.lesions()[0].mean_hu == pytest.approx(item.hu[10:20, 12:24].mean())


def test_padding_is_shown_as_air_and_is_no_part_of_the_mean() -> None:
    source = series(1)
    item = source.read(0)
    valid = np.ones_like(item.valid)
    valid[:15] = False
    detector = Given([[(A, 0.9)], []])
    finder = LesionFinder(detector, series(2), 0.5)
    padded = Slice(np.where(valid, item.hu, -2000).astype(np.float32), valid, 0.0, (0.5, 0.8))
    for _ in range(2):
        finder.write(padded, padded.hu)
    assert {float(value) for value in detector.shown[0][0, 0, :15].unique()} == {-1000.0}
    assert [lesion.mean_hu for lesion in finder.lesions()] == [pytest.approx(item.hu[15:20, 12:24].mean())]


@pytest.mark.parametrize(("inside", "around", "found"), [(-950.0, -1000.0, 1), (-951.0, 0.0, 0)])
def test_boxes_of_nothing_but_air_are_dropped(inside: float, around: float, found: int) -> None:
    """By the series itself, whatever the denoiser made of it; a box that reaches into the lung stays."""
    hu = np.full((3, 64, 64), around, np.float32)
    hu[:, 10:20, 12:24] = inside
    source = VolumeSource(Volume.from_array(hu, (3.0, 0.5, 0.8)))
    finder = LesionFinder(Given([[(A, 0.9)]]), source, 0.5)
    finder.write(source.read(0), np.zeros((64, 64), np.float32))
    assert len(finder.lesions()) == found


def test_boxes_of_nothing_but_padding_are_dropped() -> None:
    item = series(1).read(0)
    finder = LesionFinder(Given([[(A, 0.9), (B, 0.8)]]), series(1), 0.5)
    finder.write(replace(item, valid=np.arange(64)[:, None] + np.zeros(64, int) >= 30), item.hu)
    assert [lesion.boxes[0].box for lesion in finder.lesions()] == [B]


@pytest.mark.parametrize(("thickness", "through"), [(None, 6.0), (1.0, 4.0), (5.0, 6.0)])
def test_a_slice_counts_its_thickness_where_slices_do_not_touch(thickness: float | None, through: float) -> None:
    source = series(2)
    source.acquisition = Acquisition(thickness_mm=thickness)
    assert lesions_of([[(A, 0.9)], [(A, 0.8)]], source)[0].extent_mm[0] == pytest.approx(through)


def test_pictures_are_the_surroundings_in_the_best_slice_of_the_best_lesions() -> None:
    count, side = SHOWN + 6, 300
    scores = [0.5 + 0.01 * n for n in range(count)]
    places: list[Box] = [A if n % 2 else B for n in range(count)]
    source = series(count, side)
    found = lesions_of([[(place, score)] for place, score in zip(places, scores, strict=True)], source)
    assert [round(each.score, 2) for each in found] == [round(score, 2) for score in scores[::-1]]
    assert [each.picture is not None for each in found] == [True] * SHOWN + [False] * 6
    picture = found[0].picture
    assert picture is not None
    assert picture.hu.shape == (PICTURE_PX, PICTURE_PX)
    row, column = picture.corner
    whole: HU = source.read(0).hu
    np.testing.assert_array_equal(picture.hu, whole[row : row + PICTURE_PX, column : column + PICTURE_PX])
    assert picture.aspect == pytest.approx(0.5 / 0.8)

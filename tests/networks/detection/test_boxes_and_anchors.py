"""Boxes and anchors: overlap and offsets in closed form, suppression against a slow one, and who matches whom."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lowdose.networks.detection.anchors import (
    ASPECTS,
    BACKGROUND,
    IGNORED,
    SIDE_IN_STRIDES,
    balanced_sample,
    make_anchors,
    match_boxes,
)  # fmt: skip
from lowdose.networks.detection.boxes import (
    LARGEST_LOG_RATIO,
    box_area,
    box_iou,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    suppress_duplicates,
)  # fmt: skip


def random_boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = 100 * torch.rand(count, 2, generator=generator)
    return torch.cat([low, low + 1 + 40 * torch.rand(count, 2, generator=generator)], dim=1)


def test_overlap_of_boxes_by_counting_pixels() -> None:
    first, second = random_boxes(5, 0).round(), random_boxes(6, 1).round()
    rows, columns = torch.meshgrid(torch.arange(150) + 0.5, torch.arange(150) + 0.5, indexing="ij")

    def pixels(box: Tensor) -> Tensor:
        top, left, bottom, right = box
        return (rows > top) & (rows < bottom) & (columns > left) & (columns < right)

    for i, one in enumerate(first):
        for j, other in enumerate(second):
            both, either = pixels(one) & pixels(other), pixels(one) | pixels(other)
            assert float(box_iou(first, second)[i, j]) == pytest.approx(float(both.sum() / either.sum()), abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_offsets_lead_back_to_the_box(seed: int) -> None:
    boxes, anchors = random_boxes(8, seed), random_boxes(8, seed + 1)
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, rtol=1e-4, atol=1e-3)


def test_offsets_in_closed_form() -> None:
    anchor, box = torch.tensor([[0.0, 0.0, 10.0, 20.0]]), torch.tensor([[5.0, 10.0, 25.0, 20.0]])
    expected = torch.tensor([[1.0, 0.25, math.log(2), math.log(0.5)]])
    torch.testing.assert_close(encode_boxes(box, anchor), expected)
    huge = decode_boxes(torch.tensor([[0.0, 0.0, 1e4, 0.0]]), anchor)
    assert float(box_area(huge)) == pytest.approx(10 * 20 * math.exp(LARGEST_LOG_RATIO), rel=1e-4)
    assert clip_boxes(huge, 30, 15).tolist() == [[0.0, 0.0, 30.0, 15.0]]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_duplicates_are_suppressed_as_a_slow_loop_does(seed: int, overlap: float) -> None:
    boxes = random_boxes(12, seed)
    scores = torch.rand(12, generator=torch.Generator().manual_seed(seed))
    stays: list[int] = []
    for number in sorted(range(12), key=lambda each: -float(scores[each])):
        if all(float(box_iou(boxes[number, None], boxes[other, None])) <= overlap for other in stays):
            stays.append(number)
    assert suppress_duplicates(boxes, scores, overlap).tolist() == stays


def test_anchors_lie_around_the_middle_of_each_place() -> None:
    anchors = make_anchors([(2, 3), (1, 1)], [4, 8], torch.device("cpu"))
    assert anchors.shape == (len(ASPECTS) * (2 * 3 + 1), 4)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centres[:: len(ASPECTS)].tolist() == [[2, 2], [2, 6], [2, 10], [6, 2], [6, 6], [6, 10], [4, 4]]
    sides = anchors[:, 2:] - anchors[:, :2]
    torch.testing.assert_close(sides[: len(ASPECTS), 0] / sides[: len(ASPECTS), 1], torch.tensor(ASPECTS))
    torch.testing.assert_close(box_area(anchors)[:3], torch.full((3,), (4 * SIDE_IN_STRIDES) ** 2))


def test_matching() -> None:
    true = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 51.0, 51.0]])
    candidates = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 4], [30, 30, 40, 40], [49, 49, 54, 54]])
    assert match_boxes(candidates, true, 0.5, 0.3, nearest=False).tolist() == [0, IGNORED, BACKGROUND, BACKGROUND]
    assert match_boxes(candidates, true, 0.5, 0.3, nearest=True).tolist() == [0, IGNORED, BACKGROUND, 1]
    assert match_boxes(candidates, true[:0], 0.5, 0.3, nearest=True).tolist() == 4 * [BACKGROUND]


def test_a_sample_holds_few_lesions_and_depends_on_the_draws_alone() -> None:
    found = torch.tensor([0, 1, 0, IGNORED, *[BACKGROUND] * 20])
    draws = torch.rand(24, generator=torch.Generator().manual_seed(0))
    lesions, background = balanced_sample(found, 8, 0.25, draws)
    assert len(lesions) == 2
    assert len(background) == 6
    assert set(lesions.tolist()) < {0, 1, 2}
    assert min(background.tolist()) > 3
    again = balanced_sample(found, 8, 0.25, draws.clone())
    assert [each.tolist() for each in again] == [lesions.tolist(), background.tolist()]

"""Linking of boxes: which pairs of neighbouring slices are one lesion, in closed form."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lowdose.infer.lesion_linking import LEAST_OVERLAP, link_boxes
from lowdose.networks.detection.boxes import box_iou


def boxes(*edges: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(edges, dtype=torch.float32).reshape(-1, 4)


def shifted(by: float) -> Tensor:
    return boxes((0, by, 10, 10 + by))


def test_a_shifted_square_is_the_same_up_to_an_overlap_of_a_fifth() -> None:
    # intersection over union of squares of side 10 shifted by s: (10 - s) / (10 + s), a fifth at s = 20 / 3
    assert link_boxes(shifted(0), shifted(20 / 3 - 0.01)) == {0: 0}
    assert link_boxes(shifted(0), shifted(20 / 3 + 0.01)) == {}
    assert link_boxes(shifted(0), shifted(3), least_overlap=0.6) == {}


@pytest.mark.parametrize("spacing", [1.0, 3.0])
def test_a_ball_is_one_lesion_through_all_its_slices(spacing: float) -> None:
    radius, places = 5.0, torch.arange(-4.5, 4.6, spacing)
    halves = (radius**2 - places**2).sqrt()
    discs = [boxes((20 - half, 20 - half, 20 + half, 20 + half)) for half in halves.tolist()]
    assert len(discs) >= 3
    assert all(link_boxes(one, other) == {0: 0} for one, other in pairwise(discs))


def test_the_largest_overlap_comes_first_and_takes_both_boxes() -> None:
    before = boxes((0, 0, 10, 10), (0, 6, 10, 16))
    after = boxes((0, 5, 10, 15))  # a third of the union with the first, nine elevenths with the second
    assert link_boxes(before, after) == {0: 1}
    assert link_boxes(after, before) == {1: 0}
    assert link_boxes(before, boxes((0, 5, 10, 15), (0, 1, 10, 11))) == {0: 1, 1: 0}


def test_nothing_is_linked_to_nothing() -> None:
    assert link_boxes(boxes(), shifted(0)) == link_boxes(shifted(0), boxes()) == link_boxes(boxes(), boxes()) == {}


edges = st.tuples(*[st.floats(0, 20)] * 2, *[st.floats(1, 20)] * 2).map(
    lambda e: (e[0], e[1], e[0] + e[2], e[1] + e[3])
)


@settings(max_examples=20, deadline=None)
@given(st.lists(edges, max_size=6), st.lists(edges, max_size=6))
def test_links_are_pairs_that_overlap_enough_and_nothing_is_left_that_could_be_linked(
    before: list[tuple[float, float, float, float]], after: list[tuple[float, float, float, float]]
) -> None:
    one, other = boxes(*before), boxes(*after)
    links, overlap = link_boxes(one, other), box_iou(one, other)
    assert len(set(links.values())) == len(links)
    assert all(overlap[first, second] >= LEAST_OVERLAP for second, first in links.items())
    free = [(i, j) for i in range(len(before)) for j in range(len(after)) if i not in links.values() and j not in links]
    assert all(overlap[pair] < LEAST_OVERLAP for pair in free)

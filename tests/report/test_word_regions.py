"""Areas of one word: what is joined, and where the word is written."""

from __future__ import annotations

import numpy as np

from lowdose.report.word_regions import in_pixels, word_areas
from support.made_explanations import layer

WORDS = [["lung", "lung", "fat"], ["no word", "lung", "lung"], ["lung", "no word", "lung"]]


def test_neighbours_with_one_word_are_one_area() -> None:
    made = layer(WORDS)
    areas = word_areas(made, np.zeros((3, 3), bool))
    assert sorted((area.word, int(area.cells.sum())) for area in areas) == [("fat", 1), ("lung", 1), ("lung", 5)]
    large = max(areas, key=lambda area: area.cells.sum())
    assert (large.rows, large.columns) == ((4, 8), (4, 12))  # of two rows of two regions the one nearer to the middle
    assert in_pixels(large.cells, made, (12, 12)).sum() == 5 * 16


def test_a_changed_region_stays_apart() -> None:
    changed = np.zeros((3, 3), bool)
    changed[1, 2] = True
    areas = word_areas(layer(WORDS), changed)
    assert [(area.cells.sum(), area.rows) for area in areas if area.changed] == [(1, (4, 8))]

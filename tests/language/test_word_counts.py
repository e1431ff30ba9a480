"""Counts and shared words, on layers made by hand."""

from __future__ import annotations

import pytest

from lowdose.language import word_counts
from lowdose.language.explanation import NO_WORD
from support.made_explanations import made


def test_counts_are_of_all_positions_and_no_word_is_none() -> None:
    first = made([["lung", "lung"], ["liver", NO_WORD]], [["fat"]])
    second = made([["liver", NO_WORD], [NO_WORD, NO_WORD]], [[NO_WORD]])
    found = word_counts.frequencies([first, second])
    assert [tuple(count) for count in found] == [(1, "liver", 2, 2 / 8), (1, "lung", 2, 2 / 8), (2, "fat", 1, 1 / 2)]


def test_agreement_leaves_out_what_has_no_word_in_both() -> None:
    first = made([["lung", "lung"], ["liver", NO_WORD]])
    second = made([["lung", "fat"], [NO_WORD, NO_WORD]])
    assert word_counts.agreement(first, second) == pytest.approx(1 / 3)
    assert word_counts.common(first, second) == pytest.approx(2 * 1 / (2 + 2))
    assert word_counts.agreement(first, first) == word_counts.common(first, first) == 1
    silent = made([[NO_WORD]])
    assert word_counts.agreement(silent, silent) is None
    assert word_counts.common(silent, silent) is None

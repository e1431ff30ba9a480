"""What is shown: words of anatomy, certain, plausible and in the body; everything else has no word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowdose.errors import InvalidSetting
from lowdose.language.cell_words import LEAST_BODY
from lowdose.language.presentation import present
from lowdose.language.word_limits import WordLimits
from support.made_explanations import layer, made

NAMES = [["lung", "nike"], ["liver", "fat"]]


def test_only_words_of_anatomy_are_shown_and_all_shows_everything() -> None:
    explained = made(NAMES)
    assert present(explained, "all") is explained
    shown = present(explained, "shown").layers[0]
    assert shown.words == (("lung", "no word"), ("liver", "fat"))
    assert shown.shown.tolist() == [[True, False], [True, True]]
    assert np.array_equal(shown.tokens, explained.layers[0].tokens)


@pytest.mark.parametrize(
    "fields",
    [
        {"body": np.array([[1, 1], [LEAST_BODY - 0.01, LEAST_BODY]], np.float32)},
        {"certainty": np.array([[1, 0], [0.59, 0.6]], np.float32)},
        {"plausible": np.array([[True, False], [False, True]])},
    ],
)
def test_each_condition_takes_its_word(fields: dict[str, np.ndarray]) -> None:
    explained = replace(made(NAMES), layers=(layer(NAMES, **fields),), limits=WordLimits(certainty=0.6))
    assert present(explained, "shown").layers[0].words == (("lung", "no word"), ("no word", "fat"))


def test_marks_of_tokenizers_are_not_shown() -> None:
    explained = replace(
        made(NAMES),
        layers=(layer([["liver</w>"]], plausible=np.array([[True]]), certainty=np.ones((1, 1), np.float32)),),
    )
    assert present(explained, "shown").layers[0].words == (("liver",),)


def test_another_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="--vocabulary medical: choose one of shown, all"):
        present(made(NAMES), "medical")

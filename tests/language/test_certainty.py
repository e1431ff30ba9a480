"""Certainty: Eq. 1 of LEDA written out slowly, and what it is worth for words that are not shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowdose.language.certainty import certainties
from lowdose.language.vocabulary import Vocabulary

NAMES = ("lung", "lungs", "fat", "banana", "adipose")


def test_certainty_is_the_share_of_the_words_of_one_structure() -> None:
    rng = np.random.default_rng(0)
    table, residuals, sharpness = rng.normal(size=(5, 3)), rng.normal(size=(3, 4, 6)), 2.5
    words = Vocabulary(NAMES, torch.from_numpy(table), "made")
    squares = np.square(table[:, :, None, None] - residuals[None]).sum(1)
    tokens = squares.argmin(0)
    found = certainties(torch.from_numpy(residuals).float(), tokens, words, torch.from_numpy(table).float(), sharpness)
    alike = {0: [0, 1], 1: [0, 1], 2: [2, 4], 3: [], 4: [2, 4]}
    for row in range(4):
        for column in range(6):
            chances = np.exp(-sharpness * squares[:, row, column])
            expected = chances[alike[tokens[row, column]]].sum() / chances.sum()
            assert found[row, column] == pytest.approx(expected, rel=1e-4)
    assert {0, 2, 3} <= set(tokens.ravel().tolist())


def test_far_latents_neither_overflow_nor_lose_their_word() -> None:
    table = torch.eye(5)
    found = certainties(
        1e4 * table[:1].T[:, None], np.array([[0]]), Vocabulary(NAMES, table, "made"), table, sharpness=50.0
    )
    assert found == pytest.approx(1.0)

"""How well each word of a vocabulary fits an image, and the candidate words of each layer of LEDA's token pyramid.

LEDA (Chen et al. 2024, section 2.1) takes the scores of PubMedCLIP (``clip``). The embedded provider needs nothing from
outside: what the anatomy network sees is put into words by the shipped table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.image import HU
from lowdose.language import slice_terms, word_table
from lowdose.language.vocabulary import Vocabulary
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.segmentation import segment_slice

Scores = NDArray[np.float32]

THRESHOLDS = (0.95, 0.9, 0.8)
"""Of LEDA's three layers, coarsest first."""

SHARPNESS = 20.0
"""Of the soft maximum over terms: 0.05 of cosine similarity make a term e times as close."""


class Relevance(Protocol):
    """Scores the tokens of one vocabulary."""

    def scores(self, hu: HU, pixel_mm: tuple[float, float] | None) -> Scores:
        """(y, x) HU -> (V) in [0, 1], the least fitting token 0 and the best 1. Values that are not numbers are air."""
        ...


def min_max(raw: NDArray[np.floating]) -> Scores:
    """Scores (..., V) scaled along the last axis so that the lowest is 0 and the highest exactly 1; all 1 if all equal.

    A constant added to all, or a positive factor, changes nothing but rounding. Raises InvalidSetting for NaN or
    infinity.
    """
    values = np.asarray(raw, np.float64)
    if not np.isfinite(values).all():
        raise InvalidSetting("relevance scores hold NaN or infinity: look for such numbers in the model's weights")
    low, high = values.min(-1, keepdims=True), values.max(-1, keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    return np.where(high > low, (values - low) / span, 1.0).astype(np.float32)


def candidate_pools(scores: Scores, thresholds: Sequence[float] = THRESHOLDS) -> tuple[NDArray[np.int64], ...]:
    """The tokens of (V) min-max scores at or above each threshold, best first: C_l(y) of LEDA.

    With falling thresholds each pool holds the one before; none is empty, since the best score is 1.
    Raises InvalidSetting for thresholds that rise or lie outside [0, 1], and scores that are not min-max scaled.
    """
    if (
        not thresholds
        or list(thresholds) != sorted(thresholds, reverse=True)
        or not 0 <= thresholds[-1] <= thresholds[0] <= 1
    ):
        raise InvalidSetting(f"thresholds {tuple(thresholds)}: give falling numbers from 1 to 0, coarsest layer first")
    if scores.ndim != 1 or not scores.size or not (scores.max() == 1.0 and scores.min() >= 0.0):
        raise InvalidSetting("candidate pools need the scores of one image, from 0 to 1 with the best at 1 (min_max)")
    best_first = np.argsort(-scores, kind="stable")
    ordered = scores[best_first]
    return tuple(best_first[ordered >= np.float32(threshold)] for threshold in thresholds)


class AnatomyRelevance:
    """Words for what the anatomy network finds in a slice.

    With w_t the weights of ``scene.term_weights`` (sum 1), e the unit embeddings of words and terms in the shipped
    table, and k = ``SHARPNESS``, the score of a word before ``min_max`` is a soft maximum over the terms t:

        s(word) = 1/k log sum_t w_t exp(k e(word).e(t))

    So a word is near the top when it is close to anything that the slice shows much of, 'renal' as much as 'kidney'; a
    structure of a tenth of the weight has to be closer by ln(10)/k = 0.12. General words are held back by the table
    itself: the mean over general words, which is what all prompts share, was taken out of it. A constant added to all
    cosines is added to all scores, and changes nothing.

    Tokens of another vocabulary take the score of the word they spell; those that spell none of the table's words get
    the lowest score. Raises InvalidSetting for a vocabulary without a single known word.
    """

    def __init__(self, network: Anatomy, words: Vocabulary) -> None:
        self.network = network
        table = word_table.shipped_word_table()
        rows = {word: row for row, word in enumerate(table.tokens)}
        found = [rows.get(word, -1) if word is not None else -1 for word in words.words]
        self._row = np.array(found, np.int64)
        self.matched = int((self._row >= 0).sum())
        """Tokens of the vocabulary that the table knows."""
        if not self.matched:
            raise InvalidSetting(
                f"{words.provenance}: none of its {len(words)} tokens is one of the {len(rows)} English words of "
                "the shipped table; take the scores of a CLIP model, or another vocabulary"
            )
        self._cosines = table.cosines

    def scores(self, hu: HU, pixel_mm: tuple[float, float] | None) -> Scores:
        """As ``Relevance.scores``: the slice through the anatomy network, then ``scores_of``."""
        return self.scores_of(segment_slice(self.network, hu, pixel_mm), pixel_mm)

    def scores_of(self, classes: NDArray[np.uint8], pixel_mm: tuple[float, float] | None) -> Scores:
        """The same from numbers of ``organ_classes.CLASSES`` (y, x), such as the labels of a digital patient."""
        raw = soft_maximum(self._cosines, slice_terms.term_weights(classes, pixel_mm))
        return min_max(np.where(self._row >= 0, raw[self._row], raw.min()))


def soft_maximum(cosines: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, T) cosines of words and terms, (T) weights of sum 1 -> (V) the s(word) of ``AnatomyRelevance``."""
    there = weights > 0
    exponent = SHARPNESS * cosines[:, there].astype(np.float64)
    highest = exponent.max(1)
    total = np.exp(exponent - highest[:, None]) @ weights[there]
    return np.asarray((highest + np.log(total)) / SHARPNESS)

"""Relevance of the words of a vocabulary for an image, and the candidate words of each layer of LEDA's token pyramid.

LEDA (Chen et al. 2024, section 2.1) uses the scores of PubMedCLIP (``clip``). ``AnatomyRelevance`` needs no files
beyond the package: it compares the organs that the anatomy network finds with the words of the shipped table.
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
"""Relevance of each token of a vocabulary, from 0 to 1."""

THRESHOLDS = (0.95, 0.9, 0.8)
"""Lowest scores of the candidates in LEDA's three layers, coarsest first."""

SHARPNESS = 20.0
"""Sharpness of the soft maximum over terms: 0.05 more in cosine similarity give a term e times the weight."""


class Relevance(Protocol):
    """Provider of relevance scores for the tokens of one vocabulary."""

    def scores(self, hu: HU, pixel_mm: tuple[float, float] | None) -> Scores:
        """Score all tokens for a slice: (y, x) HU -> (V,) in [0, 1], from the least to the most fitting token.

        pixel_mm: spacing in mm between rows and between columns, if known. NaN counts as air.
        """
        ...


def min_max(raw: NDArray[np.floating]) -> Scores:
    """Scale scores (..., V) along the last axis so that the lowest is 0 and the highest exactly 1.

    Scores that are all equal become 1. Adding a constant to all scores, or multiplying them by a positive factor,
    changes the result by rounding only. Raises InvalidSetting for NaN or infinity.
    """
    values = np.asarray(raw, np.float64)
    if not np.isfinite(values).all():
        raise InvalidSetting("relevance scores hold NaN or infinity: look for such numbers in the model's weights")
    low, high = values.min(-1, keepdims=True), values.max(-1, keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    return np.where(high > low, (values - low) / span, 1.0).astype(np.float32)


def candidate_pools(scores: Scores, thresholds: Sequence[float] = THRESHOLDS) -> tuple[NDArray[np.int64], ...]:
    """Select the tokens whose min-max scores (V,) reach each threshold, best first: C_l(y) of LEDA.

    Thresholds fall from layer to layer, so each pool contains the one before; none is empty, since the best score is 1.
    Raises InvalidSetting for thresholds that rise or lie outside [0, 1], and for scores that are not min-max scaled.
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
    """Relevance of words by the structures that the anatomy network finds in a slice.

    With w_t the weights of ``slice_terms.term_weights`` (sum 1), e the unit embeddings of words and terms in the
    shipped table, and k = ``SHARPNESS``, the score of a word before ``min_max`` is a soft maximum over the terms t:

        s(word) = 1/k log sum_t w_t exp(k e(word).e(t))

    So a word scores high when it is close to any structure that covers much of the slice, 'renal' as much as 'kidney';
    for a structure with a tenth of the weight, its cosine has to be higher by ln(10)/k = 0.12. General words do not
    score high: the mean embedding of general words, which all prompts share, was subtracted from the table. A constant
    added to all cosines is added to all scores, and changes nothing.

    Tokens of another vocabulary get the score of the word that they spell; tokens that spell no word of the table get
    the lowest score. Raises InvalidSetting for a vocabulary without a single known word.
    """

    def __init__(self, network: Anatomy, words: Vocabulary) -> None:
        self.network = network
        table = word_table.shipped_word_table()
        rows = {word: row for row, word in enumerate(table.tokens)}
        # Row of the table for each token of the vocabulary, -1 for none.
        self._row = np.array([rows.get(word, -1) if word is not None else -1 for word in words.words], np.int64)
        self.matched = int((self._row >= 0).sum())
        """Number of tokens of the vocabulary that spell a word of the table."""
        if not self.matched:
            raise InvalidSetting(
                f"{words.provenance}: none of its {len(words)} tokens is one of the {len(rows)} English words of "
                "the shipped table; take the scores of a CLIP model, or another vocabulary"
            )
        self._cosines = table.cosines

    def scores(self, hu: HU, pixel_mm: tuple[float, float] | None) -> Scores:
        """Score all tokens for a slice, as ``Relevance.scores``: segment it and score the result by ``scores_of``."""
        return self.scores_of(segment_slice(self.network, hu, pixel_mm), pixel_mm)

    def scores_of(self, classes: NDArray[np.uint8], pixel_mm: tuple[float, float] | None) -> Scores:
        """Score all tokens for a label map (y, x) of ``organ_classes.CLASSES``, such as that of a digital patient."""
        raw = soft_maximum(self._cosines, slice_terms.term_weights(classes, pixel_mm))
        return min_max(np.where(self._row >= 0, raw[self._row], raw.min()))


def soft_maximum(cosines: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute s(word) of ``AnatomyRelevance``, (V,), from cosines (V, T) of words and terms and weights (T,)."""
    present = weights > 0
    exponent = SHARPNESS * cosines[:, present].astype(np.float64)
    highest = exponent.max(1)
    total = np.exp(exponent - highest[:, None]) @ weights[present]
    return np.asarray((highest + np.log(total)) / SHARPNESS)

"""Semantic drift: a check of every region of a processed slice for structures that were invented or lost.

With z and z' the latents of input and result, c the cells of a region r of the second layer (4 x 4 cells), and L the
root mean square length of a word,

    score(r) = sqrt(mean over c of |z'(c) - z(c)|^2) / L         change of meaning, in lengths of a word
    usual    = upper quartile of score over the slice's regions  change everywhere due to the removal of noise
    flagged    where score > floor and (score > times * usual or score > far)

Removing noise changes all regions a little, while an invented lesion or a lost organ changes one place a lot; hence the
comparison with the rest of the slice. Latents are compared instead of words, since a change that does not reach the
next word leaves the word as it is; ``Drift.moved`` states where the word changed too. floor, times and far belong to
the autoencoder (``WordLimits``). Drift shows where an image deserves a closer inspection, and no more: a change as
large as a quarter of the slice becomes usual, and is not flagged below far; neither is anything that is too faint or
too small for the autoencoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch
from lowdose.language.body import Span
from lowdose.language.explanation import ExplainedLayer, Explanation

LAYER = 2
"""Layer whose regions are compared, counted from 1; the last layer of a pyramid that has fewer."""

USUAL_CHANGE = 0.75
"""Quantile of the scores of a slice that counts as usual."""


@dataclass(frozen=True, eq=False)
class Drift:
    """Semantic drift of one slice against its input, for h x w regions.

    Attributes
    ----------
    score : (h, w)
        Change of meaning of each region, in lengths of a word.
    usual : lengths of a word
        Score that is usual in this slice.
    limit : lengths of a word
        Score above which a region is flagged.
    flagged : (h, w) bool
        Whether the score of a region is above ``limit``.
    moved : (h, w) bool
        Whether the word of a region changed.
    rows, columns : tuple of (first, last)
        Pixels of the regions, as in ``ExplainedLayer``.
    """

    score: NDArray[np.float32]
    usual: float
    limit: float
    flagged: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]


def measure_drift(before: Explanation, after: Explanation) -> Drift:
    """Compare the explanations of a slice before and after processing, made with one autoencoder.

    Raises GeometryMismatch for images of different sizes.
    """
    if before.shape != after.shape:
        raise GeometryMismatch(
            f"images of {before.shape} and {after.shape} pixels: drift compares a slice with what was made of it"
        )
    layer, layer_after = (each.layers[:LAYER][-1] for each in (before, after))
    change = np.square(after.latents.astype(np.float64) - before.latents).sum(0)
    score = np.sqrt(by_region(change, layer, before.stride)) / before.word_length
    usual = float(np.quantile(score, USUAL_CHANGE))
    limit = before.limits.drift(usual)
    return Drift(
        score=score.astype(np.float32),
        usual=usual,
        limit=limit,
        flagged=score > limit,
        moved=np.array(layer.words) != np.array(layer_after.words),
        rows=layer.rows,
        columns=layer.columns,
    )


def by_region(values: NDArray[np.float64], layer: ExplainedLayer, stride: int) -> NDArray[np.float64]:
    """Average values (cells down, cells across) over the cells of each region of a layer: (h, w)."""
    return np.array(
        [
            [
                values[top // stride : -(-bottom // stride), left // stride : -(-right // stride)].mean()
                for left, right in layer.columns
            ]
            for top, bottom in layer.rows
        ]
    )

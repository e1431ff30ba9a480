"""Semantic drift: a check of every region of a processed slice for structures that were invented or lost.

With z and z' the latents of input and result, c the cells of a region r of the second layer (4 x 4 cells), and L the
root mean square length of a word,

    score(r) = sqrt(mean over c of |z'(c) - z(c)|^2) / L         change of meaning, in lengths of a word
    usual    = upper quartile of score over the slice's regions  change everywhere due to the removal of noise
    flagged    where score > FLOOR and (score > TIMES * usual or score > FAR)

Removing noise changes all regions a little, while an invented lesion or a lost organ changes one place a lot; hence the
comparison with the rest of the slice. Latents are compared instead of words, since a change that does not reach the
next word leaves the word as it is; ``Drift.moved`` states where the word changed too. Drift shows where an image
deserves a closer inspection, and no more: a change as large as a quarter of the slice becomes usual, and is not flagged
below ``FAR``; neither is anything that is too faint or too small for the autoencoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch
from lowdose.language.explanation import ExplainedLayer, Explanation, Span

LAYER = 2
"""Layer whose regions are compared, counted from 1; the last layer of a pyramid that has fewer."""

FLOOR, TIMES, FAR = 0.1, 4.0, 0.5
USUAL_CHANGE = 0.75
"""Limits of the score, and the quantile of the scores of a slice that counts as usual.

They were fixed on 20 faithful results (noise of 15 to 40 HU removed by a U-Net or a Gaussian filter) for 10 slices of
three patients. Results of one trial with the shipped weights on other patients (11 slices of seven; docs/results.md),
with 95 % confidence intervals: of the results of the U-Net, 0 of 11 slices were flagged (0-26 %), of those of the
Gaussian filter 5 of 11 (21-72 %), four of them of one scan, near its couch. At their places were flagged 21 of 21
pasted lesions of 15 to 30 mm and 60 HU or more (85-100 %) and 19 of 19 organs replaced by fat (83-100 %), with 0.3 and
0.6 flags a slice in regions that they do not touch. Only 2 of these lesions were faint ones in the lung (60 to 100 HU
above it); of such lesions on the slices that fixed the constants, 3 of 5 were flagged. The word had changed too for 3
of the 21 and 11 of the 19. The autoencoder had been trained on the unchanged slices, which may favour it.
"""


@dataclass(frozen=True, eq=False)
class Drift:
    """Semantic drift of one slice against its input, for h x w regions.

    Attributes
    ----------
    score : (h, w)
        Change of meaning of each region, in lengths of a word.
    usual : lengths of a word
        Score that is usual in this slice.
    flagged : (h, w) bool
        Whether the score of a region is above ``drift_limit(usual)``.
    moved : (h, w) bool
        Whether the word of a region changed.
    rows, columns : tuple of (first, last)
        Pixels of the regions, as in ``ExplainedLayer``.
    """

    score: NDArray[np.float32]
    usual: float
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
    return Drift(
        score=score.astype(np.float32),
        usual=usual,
        flagged=score > drift_limit(usual),
        moved=layer.tokens != layer_after.tokens,
        rows=layer.rows,
        columns=layer.columns,
    )


def drift_limit(usual: float) -> float:
    """Return the score above which a region is flagged."""
    return max(FLOOR, min(TIMES * usual, FAR))


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

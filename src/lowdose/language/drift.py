"""Whether a processed image still says what its input says: a check of every region for structure made up or lost.

With z and z' the latents of input and result, c the cells of a region r of the second layer (4 x 4 cells), and L the
root mean square length of a word,

    score(r) = sqrt(mean over c of |z'(c) - z(c)|^2) / L        how far the meaning moved, in lengths of a word
    usual    = upper quartile of score over the slice's regions  what removing noise moves everywhere
    flagged    where score > FLOOR and (score > TIMES usual or score > FAR)

Noise changes all regions a little, a made-up lesion or a lost organ one place a lot; hence the comparison with the rest
of the slice. Latents, not words, are compared, as words hide what does not reach the next word; where the word moved
too, ``Drift.moved`` says so. It is a hint of where to look: what is as large as the quarter of a slice becomes usual,
and below ``FAR`` goes unnoticed, and so does what is too faint or too small for the autoencoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch
from lowdose.language.explanation import ExplainedLayer, Explanation, Span

LAYER = 2
"""Whose regions are compared, from 1; the last one of a pyramid that has fewer."""

FLOOR, TIMES, FAR = 0.1, 4.0, 0.5
USUAL_CHANGE = 0.75
"""Fixed on 20 honest results (noise of 15 to 40 HU taken out by a U-Net or a Gaussian) of 10 slices of three patients.

Held out, on other patients (11 slices of seven, one trial, these weights; docs/results.md): of the U-Net 0 of 11 slices
flagged (95 %: 0-26 %), of the Gaussian 5 of 11 (21-72 %), four of them of one scan, near its couch.
Flagged where they were: 21 of 21 pasted lesions of 15 to 30 mm and 60 HU or more (85-100 %) and 19 of 19 organs turned
to fat (83-100 %), with 0.3 and 0.6 flags per slice in regions they do not touch. Only 2 of the lesions were faint ones
in the lung (60 to 100 HU above it); of those on the slices that fixed the constants 3 of 5 were flagged. The word had
changed too for 3 of the 21 and 11 of the 19. The autoencoder had trained on the real ones, which may flatter it.
"""


@dataclass(frozen=True, eq=False)
class Drift:
    """One slice against its input. score, flagged, moved: (h, w), by region; moved: whether its word is another.

    usual: the score that the slice's flagged regions stand out from. rows, columns: as ``ExplainedLayer``'s.
    """

    score: NDArray[np.float32]
    usual: float
    flagged: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]


def measure_drift(before: Explanation, after: Explanation) -> Drift:
    """Of two explanations by one autoencoder. Raises GeometryMismatch for images of two sizes."""
    if before.shape != after.shape:
        raise GeometryMismatch(
            f"images of {before.shape} and {after.shape} pixels: drift compares a slice with what was made of it"
        )
    layer, other = (each.layers[:LAYER][-1] for each in (before, after))
    change = np.square(after.latents.astype(np.float64) - before.latents).sum(0)
    score = np.sqrt(by_region(change, layer, before.stride)) / before.word_length
    usual = float(np.quantile(score, USUAL_CHANGE))
    return Drift(
        score=score.astype(np.float32),
        usual=usual,
        flagged=score > drift_limit(usual),
        moved=layer.tokens != other.tokens,
        rows=layer.rows,
        columns=layer.columns,
    )


def drift_limit(usual: float) -> float:
    """The score above which a region is flagged."""
    return max(FLOOR, min(TIMES * usual, FAR))


def by_region(values: NDArray[np.float64], layer: ExplainedLayer, stride: int) -> NDArray[np.float64]:
    """(cells down, cells across) -> (h, w): the mean over the cells of each region of ``layer``."""
    return np.array(
        [
            [
                values[top // stride : -(-bottom // stride), left // stride : -(-right // stride)].mean()
                for left, right in layer.columns
            ]
            for top, bottom in layer.rows
        ]
    )

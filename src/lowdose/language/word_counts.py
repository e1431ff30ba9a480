"""Counts of the words of explanations, and the words that two explanations share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lowdose.language.explanation import NO_WORD, WORD_LAYERS, Explanation


class Count(NamedTuple):
    """How often a word occurs in a layer.

    Attributes
    ----------
    layer : int
        Number of the layer, from 1, the coarsest.
    word : str
        The word.
    times : int
        Number of positions with this word.
    share : 0 to 1
        Share of the positions of the layer with this word.
    """

    layer: int
    word: str
    times: int
    share: float


def frequencies(found: Iterable[Explanation], layers: int = WORD_LAYERS) -> list[Count]:
    """Count the words in the first ``layers`` layers of all explanations, layer by layer, most frequent first.

    Positions without a word are not listed, but belong to the whole that ``Count.share`` is a share of.
    """
    counted: list[Counter[str]] = [Counter() for _ in range(layers)]
    positions = [0] * layers
    for explanation in found:
        for number, layer in enumerate(explanation.layers[:layers]):
            counted[number].update(layer.listed())
            positions[number] += layer.tokens.size
    return [
        Count(number, word, count, count / total)
        for number, (counter, total) in enumerate(zip(counted, positions, strict=True), start=1)
        for word, count in sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


def agreement(first: Explanation, second: Explanation, layers: int = WORD_LAYERS) -> float | None:
    """Return the share of positions in the first ``layers`` layers that have the same word in both, from 0 to 1.

    Positions that have no word in either do not count; None where no position has one.
    """
    same = total = 0
    for pair in zip(first.layers[:layers], second.layers, strict=False):
        a, b = (np.array(layer.words) for layer in pair)
        some = (a != NO_WORD) | (b != NO_WORD)
        same += int((a == b)[some].sum())
        total += int(some.sum())
    return same / total if total else None


def common(first: Explanation, second: Explanation, layers: int = WORD_LAYERS) -> float | None:
    """Return the Dice coefficient of the sets A and B of words at any place, 2 |A and B| / (|A| + |B|), 0 to 1.

    None where neither has a word.
    """
    a, b = ({word for layer in each.layers[:layers] for word in layer.listed()} for each in (first, second))
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else None

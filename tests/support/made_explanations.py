"""Explanations with words of choice, without an autoencoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lowdose.language.explanation import ExplainedLayer, Explanation
from lowdose.language.shown_words import related_words
from lowdose.language.word_limits import DEFAULT_LIMITS

SIDE = 4
"""Pixels of a region."""


def layer(words: list[list[str]], **fields: object) -> ExplainedLayer:
    """Regions of 4 x 4 pixels, full of body, with certain words; ``fields`` replace what is given."""
    numbers = {word: number for number, word in enumerate(sorted({word for line in words for word in line}))}
    tokens = np.array([[numbers[word] for word in line] for line in words])
    known = np.array([[bool(related_words(word)) for word in line] for line in words])
    rows, columns = (tuple((SIDE * n, SIDE * n + SIDE) for n in range(count)) for count in tokens.shape)
    made_layer = ExplainedLayer(
        tokens=tokens,
        words=tuple(map(tuple, words)),
        readable=np.ones(tokens.shape, bool),
        distance=np.zeros(tokens.shape, np.float32),
        relevance=None,
        rows=rows,
        columns=columns,
        certainty=np.where(known, 1.0, 0.0).astype(np.float32),
        body=np.ones(tokens.shape, np.float32),
        plausible=known,
    )
    return replace(made_layer, **fields)  # type: ignore[arg-type]


def made(*layers: list[list[str]]) -> Explanation:
    """An explanation with these words in its layers."""
    found = tuple(layer(words) for words in layers)
    shape = (len(layers[-1]) * SIDE, len(layers[-1][0]) * SIDE)
    zeros = np.zeros((3, len(layers[-1]), len(layers[-1][0])), np.float32)
    return Explanation(found, zeros, zeros, 1.0, SIDE, shape, DEFAULT_LIMITS)

"""How certain the word of a position is: what its structure gets of the probability that Eq. 1 of LEDA gives to words.

LEDA (Chen et al. 2024, Eq. 1) trains a softmax over minus the squared distances of a residual r from all tokens t,

    p(t) = exp(-s |r - t|^2) / sum over all tokens u of exp(-s |r - u|^2),      s the autoencoder's sharpness

Words of one structure share it, since 'lung' and 'lungs' are as right as each other, so

    certainty = sum of p(t) over the words that name a structure that the nearest word names

The distance from the nearest word itself tells nothing: for right and wrong words it is the same (measured on two
autoencoders: docs/leda.md).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowdose.language.shown_words import related_words
from lowdose.language.vocabulary import Vocabulary


def certainties(
    residuals: Tensor, tokens: NDArray[np.int64], words: Vocabulary, codebook: Tensor, sharpness: float
) -> NDArray[np.float32]:
    """Return the certainty of the tokens (h, w) nearest to the residuals (C, h, w); 0 where no shown word is nearest.

    codebook: (V, C), embeddings of the tokens in the units of the residuals.
    """
    flat = residuals.flatten(1).T
    # |r|^2 is the same for all tokens, and leaves the softmax as it is.
    logits = sharpness * (2.0 * flat @ codebook.T - codebook.square().sum(1))
    probability = torch.softmax(logits, 1).cpu().numpy()
    related = _related_rows(words)
    found = [
        float(line[related.get(int(token), [])].sum()) for line, token in zip(probability, tokens.ravel(), strict=True)
    ]
    return np.array(found, np.float32).reshape(tokens.shape)


@lru_cache(maxsize=4)
def _related_rows(words: Vocabulary) -> dict[int, list[int]]:
    """Return, for each token that is a shown word, the tokens of its structures, itself among them."""
    rows: dict[str, list[int]] = {}
    for row, word in enumerate(words.words):
        if word is not None and related_words(word):
            rows.setdefault(word, []).append(row)
    return {
        row: [other for name in sorted(related_words(word)) for other in rows.get(name, [])]
        for word, found in rows.items()
        for row in found
    }

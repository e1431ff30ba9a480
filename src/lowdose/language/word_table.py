"""Cosine similarity of every word of the shipped table with every term that can describe a slice."""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import IncompatibleCheckpoint
from lowdose.language import vocabulary
from lowdose.language.slice_terms import TERMS
from lowdose.weights import files


class WordTable(NamedTuple):
    """Words with their similarity to all terms.

    Attributes
    ----------
    tokens : tuple of str
        V whole words in lower case.
    cosines : (V, len(TERMS))
        Cosines of the embeddings of words and ``slice_terms.TERMS``, in their order.
    """

    tokens: tuple[str, ...]
    cosines: NDArray[np.float32]


@cache
def shipped_word_table() -> WordTable:
    """Return the table of the shipped vocabulary, read once.

    Raises IncompatibleCheckpoint when the shipped file was built for other terms.
    """
    words = vocabulary.load_vocabulary()
    shipped = files.read_shipped(vocabulary.DEFAULT)
    table_terms = json.loads(shipped.header.get("terms", "[]"))
    missing = [term for term in TERMS if term not in table_terms]
    if missing:
        raise IncompatibleCheckpoint(
            f"the shipped table '{vocabulary.DEFAULT}' has no embedding of {', '.join(missing)}: reinstall, or build "
            "it anew with python -m experiments.word_table.build_word_table"
        )
    rows = [table_terms.index(term) for term in TERMS]
    terms = vocabulary.read_embeddings(shipped, vocabulary.DEFAULT, "terms")[rows]
    cosines = (words.embeddings @ terms.T).numpy()
    cosines.setflags(write=False)  # shared by all callers
    return WordTable(words.tokens, cosines)

"""How close every word of the shipped table is to every term that a slice can be described with."""

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
    """tokens: V whole words in lower case. cosines: (V, len(TERMS)) with ``scene.TERMS``, in their order."""

    tokens: tuple[str, ...]
    cosines: NDArray[np.float32]


@cache
def shipped_word_table() -> WordTable:
    """Of the shipped vocabulary, read once. Raises IncompatibleCheckpoint when it was built for other terms."""
    words = vocabulary.load_vocabulary()
    found = files.read_shipped(vocabulary.DEFAULT)
    named = json.loads(found.header.get("terms", "[]"))
    missing = [term for term in TERMS if term not in named]
    if missing:
        raise IncompatibleCheckpoint(
            f"the shipped table '{vocabulary.DEFAULT}' has no embedding of {', '.join(missing)}: reinstall, or build "
            "it anew with benchmarks/language/build.py"
        )
    terms = vocabulary.read_embeddings(found, vocabulary.DEFAULT, "terms")[[named.index(term) for term in TERMS]]
    cosines = (words.embeddings @ terms.T).numpy()
    cosines.setflags(write=False)  # shared by all callers
    return WordTable(words.tokens, cosines)

"""Counts of the tokens that an autoencoder uses for slices, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.pyramid_quantiser import Quantised


class TokenCounts:
    """Counts of the tokens of each layer over all slices added."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        quantiser = autoencoder.quantiser
        self.slices = 0
        self.counts = np.zeros((len(quantiser.parts), len(quantiser.codebook)), np.int64)

    def add(self, words: Quantised) -> None:
        """Add the tokens of one slice."""
        self.slices += 1
        for layer, index in zip(self.counts, words.indices, strict=True):
            layer += np.bincount(index.flatten().cpu().numpy(), minlength=len(layer))

    def facts(self, whole: NDArray[np.bool_] | None) -> dict[str, Any]:
        """Return tokens in use, how many of them are whole words, and perplexity, by layer and in all.

        ``whole`` marks the whole words of the vocabulary; None where there are none.
        """
        named = {f"layer {number}": counts for number, counts in enumerate(self.counts, start=1)}
        found: dict[str, Any] = {"slices": self.slices, "tokens": self.counts.shape[1]}
        if whole is not None:
            found["whole_words"] = int(whole.sum())
        for name, counts in {**named, "all layers": self.counts.sum(0)}.items():
            share = counts[counts > 0] / counts.sum()
            found[name] = {
                "in_use": int((counts > 0).sum()),
                "perplexity": float(np.exp(-(share * np.log(share)).sum())),
            }
            if whole is not None:
                found[name]["whole_words_in_use"] = int(((counts > 0) & whole).sum())
        return found

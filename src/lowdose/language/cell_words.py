"""Candidate words of the cells of a slice: what each region of the coarse token layers shows.

LEDA (Chen et al. 2024, Eq. 1) has one pool of candidates for a whole image. Here each position of a coarse layer has
the words of what lies in its own region, so that words can be right about a place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowdose.language import shown_words
from lowdose.language.slice_terms import REGIONS, STRUCTURES
from lowdose.language.vocabulary import Vocabulary
from lowdose.organ_classes import CLASSES, INDEX

LEAST_BODY = 0.4
"""Smallest share of a region that belongs to the body; regions with less, mostly air, have no words."""
LEAST_SHARE = 0.3
"""Smallest share of the classified pixels of a region from which its words are candidates."""
MOST_STRUCTURES = 3
"""Largest number of structures whose words are candidates in one region."""

Pool = NDArray[np.int64]
"""Numbers of candidate tokens in ascending order; empty where a region has none."""


class CellWords:
    """Candidate words of the regions of the coarse layers, among the tokens of ``words``.

    Words of ``shown_words`` that the vocabulary does not hold are left out.
    """

    def __init__(self, words: Vocabulary) -> None:
        rows = {word: row for row, word in enumerate(words.words) if word is not None}
        self._of_structure = {
            INDEX[name]: [rows[word] for word in shown_words.STRUCTURES[name] if word in rows] for name in STRUCTURES
        }
        self._of_region = {
            name: ([INDEX[member] for member in members], [rows[w] for w in shown_words.REGIONS[name] if w in rows])
            for name, members in REGIONS.items()
        }

    def pools(self, classes: NDArray[np.uint8], parts: Sequence[slice], cells: tuple[int, int]) -> list[list[Pool]]:
        """Return the candidates ``[layer][position]``, positions row by row, of the layers ``parts``.

        classes: (y, x) indices into ``organ_classes.CLASSES`` on any grid that covers the image; parts: rows of the
        latents at which each layer has tokens, coarsest layer first (``pyramid_quantiser.positions``); cells: rows and
        columns of the latents. The coarsest layer has the words of its body regions besides.
        """
        result = []
        for layer, part in enumerate(parts):
            rows, columns = (_blocks(part, count, side) for count, side in zip(cells, classes.shape, strict=True))
            result.append([self.pool(classes[row, column], layer == 0) for row in rows for column in columns])
        return result

    def pool(self, classes: NDArray[np.uint8], with_regions: bool) -> Pool:
        """Return the candidates for one region, a map (y, x) of classes."""
        area = np.bincount(classes.ravel(), minlength=len(CLASSES)).astype(np.float64)
        if area[1:].sum() < LEAST_BODY * area.sum():
            return np.zeros(0, np.int64)
        area[:2] = 0.0  # outside, and the body's own rest
        found = set(self._regions(area) if with_regions else [])
        for number in np.argsort(-area)[:MOST_STRUCTURES]:
            if area[number] > 0 and area[number] >= LEAST_SHARE * area.sum():
                found.update(self._of_structure[int(number)])
        return np.array(sorted(found), np.int64)

    def class_embeddings(self, codebook: Tensor, layers: int) -> list[Tensor]:
        """Return the mean embedding of the words of each class in each of the coarse ``layers``: (classes, C) each.

        codebook: embeddings of the vocabulary, (V, C). Classes without words have zeros.
        """
        tables = []
        for layer in range(layers):
            table = torch.zeros(len(CLASSES), codebook.shape[1])
            for number, words in self._of_structure.items():
                regions = [token for members, own in self._of_region.values() if number in members for token in own]
                chosen = words + (regions if layer == 0 else [])
                if chosen:
                    table[number] = codebook[chosen].mean(0)
            tables.append(table)
        return tables

    def _regions(self, area: NDArray[np.float64]) -> list[int]:
        """Return the words of the regions with a share above ``LEAST_SHARE``, by the square roots of their areas."""
        weights = {name: np.sqrt(area[members]).sum() for name, (members, _) in self._of_region.items()}
        total = sum(weights.values())
        return [
            word
            for name, (_, words) in self._of_region.items()
            if total > 0 and weights[name] > LEAST_SHARE * total
            for word in words
        ]


def _blocks(part: slice, cells: int, side: int) -> list[slice]:
    """Return the block of each position of a layer along one axis of ``cells`` latents on a grid of ``side``."""
    step, pixels = part.step or 1, side / cells
    return [slice(round(k * step * pixels), round((k + 1) * step * pixels)) for k in range(len(range(cells)[part]))]

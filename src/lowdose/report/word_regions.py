"""Neighbouring regions of a layer with the same word, as one area with one place for the word."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from lowdose.image import Mask
from lowdose.language.body import Span
from lowdose.language.explanation import ExplainedLayer


class WordArea(NamedTuple):
    """One area of one word.

    Attributes
    ----------
    word : str
        The word.
    changed : bool
        Whether its regions are among those that changed.
    cells : (h, w) bool
        Regions of the area.
    rows, columns : (first, last), pixels
        Where the word is written: the longest row of regions of the area, of these the one nearest to its middle.
    """

    word: str
    changed: bool
    cells: NDArray[np.bool_]
    rows: Span
    columns: Span


def word_areas(layer: ExplainedLayer, changed: NDArray[np.bool_]) -> list[WordArea]:
    """Join regions that touch at a side and have the same word; changed ones, (h, w), stay apart from the others."""
    words, shown = np.array(layer.words), layer.shown
    areas = []
    for word in sorted(set(words[shown].tolist())):
        for state in (False, True):
            joined, count = label(shown & (words == word) & (changed == state))
            for number in range(1, count + 1):
                cells = joined == number
                rows, columns = _widest_row(cells, layer)
                areas.append(WordArea(word, state, cells, rows, columns))
    return areas


def in_pixels(cells: NDArray[np.bool_], layer: ExplainedLayer, shape: tuple[int, int]) -> Mask:
    """Return regions (h, w) as a mask of the image (y, x)."""
    mask = np.zeros(shape, np.bool_)
    for row, column in np.argwhere(cells):
        mask[slice(*layer.rows[row]), slice(*layer.columns[column])] = True
    return mask


def _widest_row(cells: NDArray[np.bool_], layer: ExplainedLayer) -> tuple[Span, Span]:
    """Return rows and columns of the longest run of regions in one row, the nearest to the middle among equals."""
    middle = float(np.argwhere(cells)[:, 0].mean())
    best, found = (0, 0.0), (layer.rows[0], layer.columns[0])
    for row, line in enumerate(cells):
        runs, count = label(line)
        for number in range(1, count + 1):
            run = np.flatnonzero(runs == number)
            quality = (len(run), -abs(row - middle))
            if quality > best:
                best = quality
                found = layer.rows[row], (layer.columns[run[0]][0], layer.columns[run[-1]][1])
    return found

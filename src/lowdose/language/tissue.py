"""Whether the HU of a region allow a word: no lungs where nothing is as light, no fat where all is muscle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from lowdose.image import HU, Mask
from lowdose.language.body import Span, region_shares
from lowdose.language.shown_words import STRUCTURES, related_words


class Tissue(NamedTuple):
    """A tissue as CT shows it.

    Attributes
    ----------
    low, high : HU
        Range of the image, averaged over 3 x 3 pixels.
    least : 0 to 1
        Least share of the body's part of a region that must lie in the range.
    """

    low: float
    high: float
    least: float


TISSUES: MappingProxyType[str, Tissue] = MappingProxyType(
    {
        "lung": Tissue(-970.0, -500.0, 0.3),
        "fat": Tissue(-200.0, -20.0, 0.2),
        "soft tissue": Tissue(-20.0, 300.0, 0.2),
        "bone": Tissue(150.0, 4000.0, 0.05),
    }
)
"""Tissues by name; air itself, as in a hollow test object, is none.

Of the regions that the anatomy network gives to fat 99 % have a share of 0.26 of fat or more, of those of organs and
muscles 0.28 of soft tissue, of those of bones 0.11 of bone; of those of the lungs 90 % have 0.3, and the rest is cut by
the edge of the image, where the body is not closed (17 series).
"""

_LUNG = ("lung",)
_FAT = ("subcutaneous_fat", "torso_fat")
_BONE = ("rib", "vertebrae", "sternum", "hip", "femur", "humerus", "scapula", "clavicula", "sacrum")
_ANY = ("trachea", "small_bowel", "colon", "stomach", "duodenum", "esophagus", "costal_cartilages")


class TissueShares(NamedTuple):
    """Shares of the regions (h, w) of one layer.

    Attributes
    ----------
    body : (h, w), 0 to 1
        Share of each region that belongs to the body.
    enough : dict of str to (h, w) bool
        Whether at least ``Tissue.least`` of that is this tissue.
    """

    body: NDArray[np.float32]
    enough: dict[str, NDArray[np.bool_]]

    def allow(self, words: Sequence[Sequence[str | None]]) -> NDArray[np.bool_]:
        """Return whether each position (h, w) may have its word; False for words that are not shown."""
        return np.array(
            [
                [
                    any(name is None or bool(self.enough[name][row, column]) for name in tissues_of(word))
                    for column, word in enumerate(line)
                ]
                for row, line in enumerate(words)
            ],
            np.bool_,
        )


def tissue_shares(hu: HU, body: Mask, rows: tuple[Span, ...], columns: tuple[Span, ...]) -> TissueShares:
    """Measure the regions of a slice, (y, x) HU, of which ``body`` is the part that belongs to the body."""
    smooth = uniform_filter(hu, 3)
    of_body = region_shares(body, rows, columns)
    enough = {}
    for name, tissue in TISSUES.items():
        inside = body & (smooth >= tissue.low) & (smooth < tissue.high)
        enough[name] = region_shares(inside, rows, columns) >= tissue.least * of_body
    return TissueShares(of_body, enough)


@cache
def tissues_of(word: str | None) -> frozenset[str | None]:
    """Return the tissues that a shown word may stand for, None for any; empty for a word that is not shown."""
    if word is None or not related_words(word):
        return frozenset()
    found = {_tissue(structure) for structure, words in STRUCTURES.items() if word in words}
    return frozenset(found or {None})


def _tissue(structure: str) -> str | None:
    named = {"lung": _LUNG, "fat": _FAT, "bone": _BONE, None: _ANY}
    return next((tissue for tissue, structures in named.items() if structure in structures), "soft tissue")

"""Kinds of lesions of single organs: which shape, size and contrast occur where."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SMALLEST_MM, LARGEST_MM = 4.0, 15.0
"""Diameters in mm of the lesions that are drawn, where nothing else is said."""


class LesionKind(NamedTuple):
    """Kind of lesion.

    Attributes
    ----------
    organ : str
        Organ that gets it, a name of ``organ_classes``, or ``SOFT_TISSUE``.
    shape : str
        One of ``lowdose.phantom.lesions.KINDS``.
    diameter_mm : float, mm
        Diameter of a ball of the same volume.
    contrast : float or None, HU
        Contrast against the tissue around it; None = what is usual for the shape.
    """

    organ: str
    shape: str
    diameter_mm: float
    contrast: float | None


class _Occurrence(NamedTuple):
    """What occurs in an organ: shapes, range of the size of the contrast in HU, and share of darker lesions."""

    shapes: tuple[str, ...]
    contrast: tuple[float, float]
    darker: float


SOFT_TISSUE = "soft_tissue"
"""Tissue without vessels and edges that is found by its HU, where no organs are known."""

_OCCURRENCES = {
    "liver": _Occurrence(("metastasis",), (15.0, 60.0), 0.8),
    "pancreas": _Occurrence(("metastasis",), (15.0, 60.0), 0.8),
    "kidney": _Occurrence(("metastasis", "cyst"), (15.0, 60.0), 0.7),
    SOFT_TISSUE: _Occurrence(("metastasis", "cyst"), (15.0, 60.0), 0.6),
    # Ground glass. Nothing in the lung is darker but air, and solid nodules are no faint lesions.
    "lung": _Occurrence(("solid_nodule",), (60.0, 300.0), 0.0),
}

LESION_ORGANS = tuple(_OCCURRENCES)
"""Organs and tissues in which lesions are drawn."""


def draw_kind(
    organ: str, rng: np.random.Generator, largest_mm: float = LARGEST_MM, smallest_mm: float = SMALLEST_MM
) -> LesionKind:
    """Draw a kind of lesion of ``organ``, with a log-uniform diameter of ``smallest_mm`` to ``largest_mm``.

    Contrasts are uniform: 15 to 60 HU of either sign, more often darker than brighter; in the lung ground glass of 60
    to 300 HU. Raises KeyError for an organ that is not in ``LESION_ORGANS``.
    """
    occurrence = _OCCURRENCES[organ]
    sign = -1.0 if rng.random() < occurrence.darker else 1.0
    contrast = sign * float(rng.uniform(*occurrence.contrast))
    diameter = float(smallest_mm * max(largest_mm / smallest_mm, 1) ** rng.random())
    return LesionKind(organ, occurrence.shapes[rng.integers(len(occurrence.shapes))], diameter, contrast)

"""Lesions that are inserted into slices of real or digital patients, to measure how well they are found and kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lowdose.image import HU, Mask, mean_side
from lowdose.phantom.lesion_kinds import LesionKind
from lowdose.phantom.slice_lesions import SliceLesion, insert_lesions, place_lesions, slice_volume

EACH = 3
"""Most lesions that an organ gets in a slice."""


class LesionRange(NamedTuple):
    """Lesions of an organ: their shape, and the ranges that diameter and contrast are drawn evenly from.

    Attributes
    ----------
    shape : str
        One of ``lowdose.phantom.lesions.KINDS``.
    diameter_mm, contrast_hu : tuple of float
        Smallest and largest diameter in mm, lowest and highest contrast in HU against the tissue around.
    """

    shape: str
    diameter_mm: tuple[float, float]
    contrast_hu: tuple[float, float]

    def draw(self, organ: str, rng: np.random.Generator) -> LesionKind:
        """Draw a lesion for an organ."""
        return LesionKind(
            organ, self.shape, float(rng.uniform(*self.diameter_mm)), float(rng.uniform(*self.contrast_hu))
        )


LESIONS = {
    "liver": LesionRange("metastasis", (8.0, 20.0), (-60.0, -20.0)),
    "kidney": LesionRange("cyst", (6.0, 16.0), (-80.0, -20.0)),
    "lung": LesionRange("solid_nodule", (4.0, 12.0), (60.0, 300.0)),
}
"""What is inserted by organ: metastases, cysts, and nodules from ground glass to partly solid."""


def draw_lesions(
    full: HU,
    organs: Mapping[str, Mask],
    sides_mm: tuple[float, float],
    thickness_mm: float,
    rng: np.random.Generator,
    step_mm: float | None = None,
    ranges: Mapping[str, LesionRange] = LESIONS,
) -> tuple[HU, list[SliceLesion]]:
    """Draw lesions for the middle one of neighbouring full-dose slices (2c+1, y, x), HU.

    ``organs`` holds (y, x) masks of organs in ``ranges``. Returns what the lesions add, (2c+1, y, x) HU, and the
    lesions; none where there is no room. Added to the same slices at any dose, they keep the noise of each.
    """
    kinds = [ranges[organ].draw(organ, rng) for organ in organs for _ in range(EACH)]
    planned = place_lesions(dict(organs), kinds, mean_side(sides_mm), rng)
    volume = slice_volume(full, sides_mm, thickness_mm, step_mm)
    changed, inserted = insert_lesions(volume, planned)
    middle = len(volume.hu) // 2
    return changed.hu - volume.hu, [lesion for lesion in inserted if lesion.mask[middle].any()]

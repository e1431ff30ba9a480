"""Slices of the furnace's validation patients with inserted lesions, at quarter and full dose, for detectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.furnace.validation_set import load_images, load_set
from lowdose.evaluation.inserted_lesions import LESIONS, LesionRange, draw_lesions
from lowdose.evaluation.lesion_marks import MarkedLesion, inserted_lesion
from lowdose.image import HU
from lowdose.networks.anatomy import load_anatomy
from lowdose.networks.segmentation import segment_slice
from lowdose.organ_classes import INDEX

THICKNESS_MM = 3.0
"""Thickness of the slices that lesions are inserted into; the set does not state it."""
FEWEST_LIVER = 3000
"""Pixels of liver from which a slice is used."""


@dataclass(frozen=True)
class LesionSlice:
    """A slice with lesions.

    Attributes
    ----------
    patient : str
        Name of the patient.
    low, full : HU
        Low dose with its neighbours, (2c+1, y, x), and full dose, (y, x), with the same lesions.
    added : HU
        What the lesions add, (y, x).
    marks : list of MarkedLesion
        The lesions.
    """

    patient: str
    low: NDArray[np.float32]
    full: HU
    added: HU
    marks: list[MarkedLesion]

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Top, left, bottom and right edge of each lesion, (M, 4), pixels."""
        return np.array([mark.lesion.box for mark in self.marks])

    @property
    def diameters_mm(self) -> NDArray[np.float64]:
        """Diameters of the lesions, (M,)."""
        return np.array([mark.lesion.diameter_mm for mark in self.marks])


def lesion_slices(
    validation_set: Path, draws: int, seed: int = 0, lesions: LesionRange = LESIONS["liver"]
) -> Iterator[LesionSlice]:
    """Yield every validation slice that shows liver, ``draws`` times with other lesions in the liver.

    The anatomy network says at full dose where the liver is. Every lesion is inserted into both doses.
    """
    anatomy, rng = load_anatomy(), np.random.default_rng(seed)
    for item in load_set(validation_set):
        low, full = load_images(validation_set, item)
        liver = segment_slice(anatomy, full, (item.pixel_mm, item.pixel_mm)) == INDEX["liver"]
        if liver.sum() < FEWEST_LIVER:
            continue
        for _ in range(draws):
            sides = (item.pixel_mm, item.pixel_mm)
            added, inserted = draw_lesions(
                full[None], {"liver": liver}, sides, THICKNESS_MM, rng, ranges={"liver": lesions}
            )
            if inserted:
                seen = full + added[0]
                marks = [inserted_lesion(each, seen, item.pixel_mm) for each in inserted]
                yield LesionSlice(item.patient, low + added, seen, added[0], marks)

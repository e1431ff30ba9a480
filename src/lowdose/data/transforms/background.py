"""Random couches, blankets and tubes around a patient, so that a segmentation knows them for what they are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.image import AIR, HU
from lowdose.organ_classes import INDEX

KEPT = 0.4
"""Share of slices that keep the couch they came with."""


def randomise_background(hu: HU, classes: NDArray[np.uint8], pixel_mm: float, rng: np.random.Generator) -> HU:
    """(y, x) HU with another couch below the patient and up to two round things beside; classes on the same grid."""
    if rng.random() < KEPT:
        return hu
    outside = classes == INDEX["outside"]
    rows = np.flatnonzero(~outside.all(axis=1))
    lowest = float(rows[-1]) * pixel_mm if len(rows) else 0.5 * hu.shape[0] * pixel_mm
    y, x = np.ogrid[: hu.shape[0], : hu.shape[1]]
    y, x = y * pixel_mm, (x - hu.shape[1] / 2) * pixel_mm
    drawn = np.full(hu.shape, AIR, np.float32)
    _couch(drawn, y - lowest - rng.uniform(-20, 25) + rng.uniform(0, 0.0015) * x**2 - 5, x, rng)
    for _ in range(int(rng.integers(3))):
        at = (rng.uniform(0, hu.shape[0] * pixel_mm), rng.uniform(-0.5, 0.5) * hu.shape[1] * pixel_mm)
        half = rng.uniform(4, 45, 2)
        ring = np.hypot((y - at[0]) / half[0], (x - at[1]) / half[1])
        drawn[(ring < 1) & (ring > rng.choice([0.0, 0.7]))] = rng.uniform(-950, 150)
    return np.where(outside, drawn, hu)


def _couch(drawn: HU, depth: NDArray[np.float64], x: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Foam between two shells, either of which may be missing; depth: mm below its upper face."""
    thick, wide = rng.uniform(10, 80), rng.uniform(150, 260)
    within = np.abs(x) < wide
    drawn[within & (depth > 0) & (depth < thick)] = rng.uniform(-1000, -830)
    for face in (0.0, thick):
        if rng.random() < 0.8:
            drawn[within & (np.abs(depth - face) < rng.uniform(0.5, 2.5))] = rng.uniform(-700, 400)

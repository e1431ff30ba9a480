"""Random couches, blankets and tubes around a patient, which a segmentation network must learn to ignore."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.image import AIR, HU
from lowdose.organ_classes import INDEX

UNCHANGED_SHARE = 0.4
"""Share of the slices that keep their original background."""


def randomise_background(hu: HU, classes: NDArray[np.uint8], pixel_mm: float, rng: np.random.Generator) -> HU:
    """Replace the background by a random couch below the patient and up to two round objects.

    hu: (y, x) HU; classes: indices into ``organ_classes.CLASSES`` on the same grid; only pixels of the class 'outside'
    change. A share ``UNCHANGED_SHARE`` of the slices is returned unchanged.
    """
    if rng.random() < UNCHANGED_SHARE:
        return hu
    outside = classes == INDEX["outside"]
    rows = np.flatnonzero(~outside.all(axis=1))
    lowest = float(rows[-1]) * pixel_mm if len(rows) else 0.5 * hu.shape[0] * pixel_mm
    y, x = np.ogrid[: hu.shape[0], : hu.shape[1]]
    y, x = y * pixel_mm, (x - hu.shape[1] / 2) * pixel_mm
    background = np.full(hu.shape, AIR, np.float32)
    _draw_couch(background, y - lowest - rng.uniform(-20, 25) + rng.uniform(0, 0.0015) * x**2 - 5, x, rng)
    for _ in range(int(rng.integers(3))):
        centre = (rng.uniform(0, hu.shape[0] * pixel_mm), rng.uniform(-0.5, 0.5) * hu.shape[1] * pixel_mm)
        radii = rng.uniform(4, 45, 2)
        ring = np.hypot((y - centre[0]) / radii[0], (x - centre[1]) / radii[1])
        background[(ring < 1) & (ring > rng.choice([0.0, 0.7]))] = rng.uniform(-950, 150)
    return np.where(outside, background, hu)


def _draw_couch(background: HU, depth: NDArray[np.float64], x: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Draw foam between two shells, either of which may be missing; depth: mm below the upper surface of the couch."""
    thickness, half_width = rng.uniform(10, 80), rng.uniform(150, 260)
    within = np.abs(x) < half_width
    background[within & (depth > 0) & (depth < thickness)] = rng.uniform(-1000, -830)
    for face in (0.0, thickness):
        if rng.random() < 0.8:
            background[within & (np.abs(depth - face) < rng.uniform(0.5, 2.5))] = rng.uniform(-700, 400)

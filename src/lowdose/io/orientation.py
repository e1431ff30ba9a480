"""Orientation of the slices of a series in the patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lowdose.image import Vector
from lowdose.io.dicom.grid import slice_normal
from lowdose.io.source import Plane

AXIAL, OBLIQUE = "axial", "oblique"
ACROSS = ("sagittal", "coronal", AXIAL)
"""Orientation of slices whose normal runs along x, y or z in LPS."""
LEAST_COSINE = 0.8
"""Least cosine of the angle between the normal and an axis: 37 degrees, more than any gantry is tilted (30)."""


FOR_TRAINING = "a model trained on them fits no axial series"
"""Why a training or a pack of other slices is warned about."""


def orientation_of(planes: Sequence[Plane]) -> str | None:
    """Return "axial", "sagittal", "coronal" or "oblique", as most slices lie; None where no slice states it."""
    counts = Counter(_orientation(plane.axes) for plane in planes if plane.axes)
    return counts.most_common(1)[0][0] if counts else None


def _orientation(axes: tuple[Vector, Vector]) -> str:
    along = [abs(part) for part in slice_normal(axes)]
    return ACROSS[along.index(max(along))] if max(along) >= LEAST_COSINE else OBLIQUE


def not_axial(planes: Sequence[Plane], why: str) -> list[str]:
    """Return a warning that ends in ``why`` when the slices are not axial, else nothing."""
    found = orientation_of(planes)
    return [] if found in (None, AXIAL) else [f"the slices are {found}, not axial: {why}"]

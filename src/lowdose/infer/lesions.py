"""A lesion that was found in a series: its box in each slice, where it lies, and how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lowdose.boxes import Box
from lowdose.image import HU, Vector
from lowdose.io.source import Plane


class LesionBox(NamedTuple):
    """What was found in one slice.

    Attributes
    ----------
    slice : int
        Number of the slice in the series, from 0.
    box : (top, left, bottom, right), pixels
        Edges of the box, 0 at the outer edge of the first row or column.
    score : float
        Score of the detector, 0 to 1.
    """

    slice: int
    box: Box
    score: float


class LesionPicture(NamedTuple):
    """Part of the slice in which a lesion has its best score, as the detector saw it.

    Attributes
    ----------
    hu : (y, x) array of float32, HU
        Box and surroundings.
    corner : (row, column)
        First pixel of the part in the slice.
    aspect : float
        Height of a pixel over its width.
    """

    hu: HU
    corner: tuple[int, int]
    aspect: float


@dataclass(frozen=True)
class DetectedLesion:
    """A lesion in neighbouring slices.

    Attributes
    ----------
    boxes : tuple of LesionBox
        One for each slice, in order.
    mean_hu : float, HU
        Mean of the series itself, not of what a denoiser made of it, inside all boxes, without padding.
    extent_mm : tuple of 3 floats or None, mm
        Through the slices, down the rows and along the columns, of the box around all boxes; None for what is not
        known. A slice counts as much as its distance to the next one, or its thickness where that is less.
    centre_mm : Vector or None, mm
        Centre of the box around all boxes, (x, y, z) in LPS; None where the series does not say where it lies.
    picture : LesionPicture or None
        Where the score is best; None where it was not kept.
    """

    boxes: tuple[LesionBox, ...]
    mean_hu: float
    extent_mm: tuple[float | None, float | None, float | None]
    centre_mm: Vector | None
    picture: LesionPicture | None = field(default=None, repr=False, compare=False)

    @property
    def score(self) -> float:
        """Highest score of the boxes."""
        return self.best.score

    @property
    def best(self) -> LesionBox:
        """The box with the highest score."""
        return max(self.boxes, key=lambda each: each.score)


def box_around(boxes: Sequence[LesionBox]) -> Box:
    """Return the smallest box around the boxes of all slices."""
    edges = np.array([each.box for each in boxes])
    (top, left), (bottom, right) = edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)
    return float(top), float(left), float(bottom), float(right)


def extent_mm(
    boxes: Sequence[LesionBox], planes: Sequence[Plane], depth_mm: float | None
) -> tuple[float | None, float | None, float | None]:
    """Return the size through the slices, down the rows and along the columns; see ``DetectedLesion``.

    planes: of all slices of the series. depth_mm: what one slice counts.
    """
    first, last = planes[boxes[0].slice], planes[boxes[-1].slice]
    apart = 0.0
    if first.position is not None and last.position is not None:
        apart = abs(last.position - first.position)
    through = None if depth_mm is None else apart + depth_mm
    if first.pixel_mm is None:
        return through, None, None
    top, left, bottom, right = box_around(boxes)
    return through, (bottom - top) * first.pixel_mm[0], (right - left) * first.pixel_mm[1]


def centre_mm(boxes: Sequence[LesionBox], planes: Sequence[Plane]) -> Vector | None:
    """Return the centre of the box around all boxes, (x, y, z) in LPS; None where the slices do not state their place.

    It is midway between the first and the last slice, also of a stack that leans (gantry tilt).
    """
    top, left, bottom, right = box_around(boxes)
    ends = []
    for plane in (planes[boxes[0].slice], planes[boxes[-1].slice]):
        if plane.corner is None or plane.axes is None or plane.pixel_mm is None:
            return None
        down, along = np.array(plane.axes[0]), np.array(plane.axes[1])
        row, column = (top + bottom) / 2 - 0.5, (left + right) / 2 - 0.5  # the corner is the centre of the first pixel
        ends.append(np.array(plane.corner) + row * plane.pixel_mm[0] * down + column * plane.pixel_mm[1] * along)
    x, y, z = (float(value) for value in (ends[0] + ends[1]) / 2)
    return x, y, z

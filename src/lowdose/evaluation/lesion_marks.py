"""Lesions as they lie in a slice, inserted or annotated: box, size, contrast, and the weights that measure it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowdose.boxes import Box, longer_side
from lowdose.hounsfield import SOFT_TISSUE, Window, window_for
from lowdose.image import HU, Mask
from lowdose.io.findings.finding import Part
from lowdose.metrics.lesion_contrast import lesion_core
from lowdose.phantom.slice_lesions import SliceLesion

MARGIN_PX = 2
"""Pixels around the box of a lesion that belong to its region."""
ANNOTATED = "annotated"
"""Shape of a lesion that the patient has."""


class Lesion(NamedTuple):
    """A lesion as it lies in a slice.

    Attributes
    ----------
    organ, shape : str
        Where it lies, and its shape; the label, and "annotated", of one that the patient has.
    diameter_mm, contrast_hu : float
        Its diameter, and its contrast against the tissue around.
    box : Box
        Top, left, bottom and right edge, pixels.
    window : Window
        Window that it is shown and measured in.
    """

    organ: str
    shape: str
    diameter_mm: float
    contrast_hu: float
    box: Box
    window: Window


class MarkedLesion(NamedTuple):
    """A lesion with the weights, (y, x), by which its contrast is measured in an image."""

    lesion: Lesion
    weights: NDArray[np.float32]


def inserted_lesion(lesion: SliceLesion, full: HU, pixel_mm: float) -> MarkedLesion:
    """Return a lesion that was inserted into full dose (y, x), whose contrast is the mean change of its core."""
    shape = full.shape[0], full.shape[1]
    core = lesion_core(shape, lesion.centre, lesion.diameter_mm / pixel_mm)
    window = _window(full, _ring(lesion.box, shape))
    facts = lesion.organ, lesion.shape, lesion.diameter_mm, lesion.contrast_hu
    return MarkedLesion(Lesion(*facts, lesion.box, window), (core / core.sum()).astype(np.float32))


def annotated_lesion(label: str, part: Part, full: HU, valid: Mask, pixel_mm: float) -> MarkedLesion:
    """Return a lesion that was annotated in full dose (y, x), whose contrast is its mean less that of a ring around it.

    Where only its box is known, it is the ellipse in the box. Pixels that are not valid are padding and take no part; a
    lesion without any valid pixel in or around it has a contrast of 0.
    """
    shape = full.shape[0], full.shape[1]
    top, left, bottom, right = part.box
    if part.inside is None:
        inside = _ellipse(part.box, shape)
        diameter = np.sqrt((bottom - top) * (right - left))
    else:
        inside = part.mask(shape)
        diameter = 2 * np.sqrt(inside.sum() / np.pi)
    inside, ring = inside & valid, _ring(part.box, shape) & valid
    weights = np.zeros(shape, np.float32)
    if inside.any() and ring.any():
        weights = (inside / inside.sum() - ring / ring.sum()).astype(np.float32)
    contrast = float((weights * full).sum(dtype=np.float64))
    facts = label or "finding", ANNOTATED, float(diameter) * pixel_mm, contrast
    return MarkedLesion(Lesion(*facts, part.box, _window(full, ring)), weights)


def _ellipse(box: Box, shape: tuple[int, int]) -> Mask:
    """Return the pixels whose centres lie in the ellipse in a box, at least the pixel in its middle."""
    top, left, bottom, right = box
    y, x = (top + bottom) / 2, (left + right) / 2
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    away = ((rows + 0.5 - y) / (bottom - top)) ** 2 + ((columns + 0.5 - x) / (right - left)) ** 2
    inside = np.asarray(away <= 0.25)
    inside[min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)] = True
    return inside


def _ring(box: Box, shape: tuple[int, int]) -> Mask:
    """Return the surroundings of a box: a frame half as wide as it, and at least 3 pixels, 1 pixel away from it."""
    inner = region_of(box, shape, 1)
    outer = region_of(box, shape, 1 + max(3, round(longer_side(box) / 2)))
    ring = np.zeros(shape, bool)
    ring[outer] = True
    ring[inner] = False
    return ring


def _window(full: HU, ring: Mask) -> Window:
    """Return the window of lungs where there is mostly air around a lesion, else that of soft tissue."""
    return window_for(float(np.median(full[ring]))) if ring.any() else SOFT_TISSUE


def region_of(box: Box, shape: tuple[int, ...], margin: int = MARGIN_PX) -> tuple[slice, slice]:
    """Return the rows and columns of the pixels that a box touches, and ``margin`` pixels around it."""
    top, left = (int(np.floor(edge)) for edge in box[:2])
    bottom, right = (int(np.ceil(edge)) for edge in box[2:])
    return grown((slice(top, bottom), slice(left, right)), margin, shape)


def grown(region: tuple[slice, slice], pixels: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns with so many pixels around them, as far as the image reaches."""
    rows, columns = (
        slice(max(0, part.start - pixels), min(side, part.stop + pixels))
        for part, side in zip(region, shape, strict=True)
    )
    return rows, columns

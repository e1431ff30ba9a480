"""Lesions in training patches: both images of a pair get the same lesion, after their noise was made.

A change of a patch by some tens of HU over a few millimetres changes the noise of the scan by less than a percent,
which is neglected.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lowdose.boxes import Box
from lowdose.image import HU, Mask
from lowdose.phantom.lesion_kinds import LARGEST_MM, SMALLEST_MM, draw_kind
from lowdose.phantom.lesion_sites import even_tissue
from lowdose.phantom.slice_lesions import (
    TO_EDGE_MM,
    PlannedSliceLesion,
    depth_mm,
    distance,
    insert_lesions,
    slice_volume,
)

SUBSAMPLES = 2
"""Samples along each axis of a voxel; with five, as elsewhere, lesions took longer than the rest of a patch."""
RING_PX = 3.0
"""Smallest width in pixels of the ring around a lesion whose mean is the level that its contrast refers to."""
REACH = 1.5
"""Radius within which all of an irregular lesion lies, relative to that of a ball of its volume."""


class PatchLesion(NamedTuple):
    """Lesion to be added to a cropped pair.

    Attributes
    ----------
    added : (2c+1, y, x) float32, HU
        What the lesion changes in each slice.
    y, x : float, pixels
        Its centre.
    diameter_px : float, pixels
        Its diameter.
    contrast_hu : float, HU
        Its contrast.
    box : Box
        Around the pixels of the middle slice that it fills at least half; where it is too small against the thickness
        of the slice to fill any, around a ball of its size.
    """

    added: HU
    y: float
    x: float
    diameter_px: float
    contrast_hu: float
    box: Box


def draw_lesion(
    full: HU,
    pixel_mm: float,
    thickness_mm: float,
    step_mm: float,
    border_px: float,
    rng: np.random.Generator,
    diameters_mm: tuple[float, float] = (SMALLEST_MM, LARGEST_MM),
) -> PatchLesion | None:
    """Draw a lesion of even soft tissue or lung of a cropped full-dose slice, (2c+1, y, x) HU with its neighbours.

    The lesion is centred in the middle slice, and keeps a distance of ``border_px`` from the edge of the crop. Slices
    are ``thickness_mm`` thick and ``step_mm`` apart. Diameters lie between the two of ``diameters_mm``. Returns None
    where the smallest finds no room.
    """
    smallest, largest = diameters_mm
    even = even_tissue(full[len(full) // 2], pixel_mm)
    room = {name: depth_mm(_within(mask, border_px), pixel_mm) for name, mask in even.items()}
    wide = [name for name, depth in room.items() if depth.max() > smallest / 2 + TO_EDGE_MM]
    if not wide:
        return None
    name = wide[int(rng.integers(len(wide)))]
    depth = room[name]
    room_mm = 2 * (float(depth.max()) - TO_EDGE_MM) - 1e-3
    kind = draw_kind(name, rng, min(room_mm, largest), smallest)
    places = np.argwhere(depth > kind.diameter_mm / 2 + TO_EDGE_MM)
    y, x = (int(number) for number in places[rng.integers(len(places))])
    planned = PlannedSliceLesion(kind, y, x, int(rng.integers(1 << 30)))
    volume = slice_volume(full, (pixel_mm, pixel_mm), thickness_mm, step_mm)
    changed, inserted = insert_lesions(volume, [planned], SUBSAMPLES)
    if not inserted:
        return None
    added = changed.hu - volume.hu
    lesion, diameter = inserted[0], kind.diameter_mm / pixel_mm
    ball = (y + 0.5 - diameter / 2, x + 0.5 - diameter / 2, y + 0.5 + diameter / 2, x + 0.5 + diameter / 2)
    box = lesion.box if lesion.mask[len(full) // 2].any() else ball
    return PatchLesion(added, y, x, diameter, lesion.contrast_hu, box)


def _within(mask: Mask, border_px: float) -> Mask:
    """Return the mask without the pixels that are nearer than ``border_px`` to the edge of the image."""
    border = max(1, int(np.ceil(border_px)))
    inner = np.zeros_like(mask)
    inner[border:-border, border:-border] = mask[border:-border, border:-border]
    return inner


def contrast_template(profile: HU, y: float, x: float, diameter_px: float, contrast_hu: float) -> HU:
    """Return the weights, (y, x), by which the contrast of a lesion is measured in an image.

    ``profile`` is what the lesion changes in the image, (y, x) HU. Inside, weights are proportional to it and their sum
    is 1; in a ring outside they are equal and their sum is -1. All are 0 if no pixel has any of the lesion.
    """
    away, reach = distance(profile.shape, y, x), max(REACH * diameter_px / 2, 1.0)
    relative = np.clip(profile / np.float32(contrast_hu), 0, 1)
    inside = np.where(away <= reach, relative, 0)
    ring = (away > reach) & (away <= reach + max(RING_PX, diameter_px / 2)) & (relative < 0.05)
    if not inside.any() or not ring.any():
        return np.zeros(profile.shape, np.float32)
    return np.asarray(inside / inside.sum() - ring / ring.sum(), np.float32)

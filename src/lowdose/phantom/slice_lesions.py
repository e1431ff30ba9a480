"""Lesions in slices, digital or real: placed where there is room, inserted, and returned as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lowdose.boxes import Box, mask_box
from lowdose.image import HU, Acquisition, Geometry, Mask
from lowdose.phantom.lesion_kinds import LesionKind
from lowdose.phantom.lesion_shape import MIN_SUBSAMPLES
from lowdose.phantom.lesions import put
from lowdose.volume import Volume

APART_MM = 8.0
"""Distance between the edges of two lesions: no filter here has noticeable weight beyond it."""
TO_EDGE_MM = 2.0
"""Distance between the edge of a lesion and that of its organ."""


class PlannedSliceLesion(NamedTuple):
    """Lesion to be inserted, centred at a pixel of a slice.

    Attributes
    ----------
    kind : LesionKind
        Organ, shape, size and contrast.
    y, x : int
        Centre, pixels.
    seed : int
        Seed of the irregular shape.
    """

    kind: LesionKind
    y: int
    x: int
    seed: int


class SliceLesion(NamedTuple):
    """Lesion as it was inserted into a slice.

    Attributes
    ----------
    organ : str
        Organ or tissue it was placed in.
    shape : str
        One of ``lowdose.phantom.lesions.KINDS``.
    centre : (y, x), pixels
        Centre, counted from the middle of the first pixel.
    diameter_mm : float, mm
        Diameter of a ball of the same volume.
    contrast_hu : float, HU
        Contrast of its solid part against the tissue around it.
    mask : (z, y, x), bool
        Pixels at least half filled by the lesion, see ``lowdose.phantom.lesions.Lesion``.
    """

    organ: str
    shape: str
    centre: tuple[float, float]
    diameter_mm: float
    contrast_hu: float
    mask: Mask

    @property
    def box(self) -> Box:
        """Box around its mask in the middle slice, where it is centred."""
        return mask_box(self.mask[len(self.mask) // 2])


def distance(shape: Sequence[int], y: float, x: float) -> NDArray[np.float64]:
    """Return the distance of every pixel (y, x) from a point, in pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - y, columns - x))


def depth_mm(mask: Mask, pixel_mm: float) -> NDArray[np.float64]:
    """Return the distance in mm of every pixel (y, x) of a mask from its edge; outside it is 0."""
    return np.asarray(distance_transform_edt(mask) * pixel_mm)


def place_lesions(
    room: dict[str, Mask], kinds: Sequence[LesionKind], pixel_mm: float, rng: np.random.Generator
) -> list[PlannedSliceLesion]:
    """Place one lesion of each kind in its organ, apart from each other and from the edges, in random order.

    ``room`` holds a (y, x) mask for each organ. A kind that finds no room is left out.
    """
    planned: list[PlannedSliceLesion] = []
    for organ, mask in room.items():
        inside = depth_mm(mask, pixel_mm)
        own = [kind for kind in kinds if kind.organ == organ]
        found: list[PlannedSliceLesion] = []
        for number in rng.permutation(len(own)):
            kind = own[int(number)]
            allowed = inside > kind.diameter_mm / 2 + TO_EDGE_MM
            for other in found:
                gap = (kind.diameter_mm + other.kind.diameter_mm) / 2 + APART_MM
                allowed &= distance(mask.shape, other.y, other.x) * pixel_mm > gap
            where = np.argwhere(allowed)
            if len(where):
                y, x = where[rng.integers(len(where))]
                found.append(PlannedSliceLesion(kind, int(y), int(x), int(rng.integers(1 << 30))))
        planned += found
    return planned


def slice_volume(hu: HU, sides_mm: tuple[float, float], thickness_mm: float, step_mm: float | None = None) -> Volume:
    """Return a slice (y, x), or neighbouring slices (z, y, x), as a volume to insert lesions into.

    ``sides_mm`` is the pixel size (y, x), ``step_mm`` the distance between slices, by default their thickness.
    """
    slices = hu[None] if hu.ndim == 2 else hu
    return Volume(slices, Geometry((step_mm or thickness_mm, *sides_mm)), Acquisition(thickness_mm=thickness_mm))


def insert_lesions(
    volume: Volume, planned: Sequence[PlannedSliceLesion], subsamples: int = MIN_SUBSAMPLES
) -> tuple[Volume, list[SliceLesion]]:
    """Insert lesions, each centred in the middle slice, into a copy of the volume; return it and what was inserted.

    Noise is kept and vessels end at the lesion (``lowdose.phantom.lesions.put``). A lesion that no voxel holds any of
    is left out. ``subsamples`` along each axis of a voxel, at least, are averaged.
    """
    inserted: list[SliceLesion] = []
    middle = float(len(volume.hu) // 2)
    for kind, y, x, seed in planned:
        done = put(volume, kind.shape, (middle, float(y), float(x)), kind.diameter_mm, kind.contrast, seed, subsamples)
        if done is None:
            continue
        volume, lesion = done
        at = lesion.centre_voxel[1:]
        inserted.append(SliceLesion(kind.organ, kind.shape, at, lesion.diameter_mm, lesion.contrast_hu, lesion.mask))
    return volume, inserted

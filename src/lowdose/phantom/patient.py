"""The digital patient: a seeded person, cut into CT slices without noise, every voxel labelled."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lowdose.anatomical_labels import NAMES
from lowdose.errors import InvalidSetting
from lowdose.image import Acquisition, Geometry
from lowdose.phantom.body_coordinates import BodyCoordinates, Build
from lowdose.phantom.contrast_phases import enhancement
from lowdose.phantom.lesion_placement import insert_planned_lesions
from lowdose.phantom.lesions import Lesion
from lowdose.phantom.scene import Scene
from lowdose.volume import Volume

REGIONS = {
    "neck": (260.0, 370.0),
    "chest": (60.0, 300.0),
    "abdomen": (-110.0, 110.0),
    "pelvis": (-330.0, -110.0),
    "trunk": (-330.0, 370.0),
}
"""Lowest and highest slice in mm above the top of L1."""

LOWEST, HIGHEST = -380.0, 385.0
FIELD_MM = 300.0


@dataclass(frozen=True)
class Patient:
    """A person in slices.

    volume: noise-free HU. labels: (z, y, x) uint8, by ``names``. lesions: those that reach into the volume;
    lesion_mask: (z, y, x), all of them. build: what the seed made of this person; phase: of contrast.
    """

    volume: Volume
    labels: NDArray[np.uint8]
    lesions: tuple[Lesion, ...]
    lesion_mask: NDArray[np.bool_]
    build: Build
    phase: str

    @property
    def names(self) -> Mapping[int, str]:
        """Label -> name, the same for every patient."""
        return NAMES


def digital_patient(
    seed: int, *, region: str | tuple[float, float] = "abdomen", slices: int | None = None, size: int = 512,
    pixel_mm: float = 0.74, spacing_mm: float = 3.0, thickness_mm: float | None = None, phase: str = "portal_venous",
    lesions: bool = True, build: Build | None = None, variety: float = 1.0,
) -> Patient:  # fmt: skip
    """The person of ``seed``, supine and head first, in ``slices`` axial slices without noise.

    region: one of ``REGIONS``, or (lowest, highest) slice in mm above the top of L1; with ``slices`` given the stack is
    centred there, without it fills it. What lies at a place depends on the seed and on that place alone, not on the
    grid. Origin: x and y 0 in the middle of the image, z 0 at L1; z grows to the head. build: this body instead of
    the seed's. variety: places and sizes of organs differ that many times more between patients than in most people
    (0: all alike). Raises InvalidSetting for a setting without meaning or a field too small for any person (300 mm).
    """
    levels = _levels(region, slices, spacing_mm)
    thick = spacing_mm if thickness_mm is None else thickness_mm
    _check(seed, size, pixel_mm, thick, variety)

    frame = BodyCoordinates(seed, Build.draw(seed) if build is None else build, variety=variety)
    scene = Scene(frame, enhancement(phase, frame.rng("uptake")))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        drawn = list(pool.map(lambda z: scene.slice(float(z), size, pixel_mm, thick), levels))
    half = 0.5 * (size - 1) * pixel_mm
    geometry = Geometry((spacing_mm, pixel_mm, pixel_mm), (-half, -half, float(levels[0])))
    volume = Volume(np.stack([image for image, _ in drawn]), geometry, Acquisition("PHANTOM", thick, 120.0, "lowdose"))
    labels = np.stack([label for _, label in drawn])
    found: tuple[Lesion, ...] = ()
    if lesions:
        volume, found = insert_planned_lesions(scene, volume, labels)
    mask = np.any([lesion.mask for lesion in found], axis=0) if found else np.zeros(labels.shape, bool)
    return Patient(volume, labels, found, mask, scene.frame.build, phase)


def _levels(region: str | tuple[float, float], slices: int | None, spacing: float) -> NDArray[np.float64]:
    if isinstance(region, str) and region not in REGIONS:
        raise InvalidSetting(f"region {region!r}: one of {', '.join(REGIONS)}, or (lowest, highest) in mm above L1")
    if not 0 < spacing < np.inf:
        raise InvalidSetting(f"spacing {spacing} mm: needs a positive number")
    low, high = REGIONS[region] if isinstance(region, str) else region
    if not LOWEST <= low <= high <= HIGHEST:
        raise InvalidSetting(f"region {low:g} to {high:g} mm: must rise, from {LOWEST:g} to {HIGHEST:g} mm")
    count = int((high - low) / spacing + 1e-6) + 1 if slices is None else slices
    levels = 0.5 * (low + high) + (np.arange(count) - (count - 1) / 2) * spacing
    if count < 1 or levels[0] < LOWEST or levels[-1] > HIGHEST:
        middle = 0.5 * (low + high)
        raise InvalidSetting(
            f"{count} slices {spacing:g} mm apart around {middle:g} mm: needs one or more, "
            f"all from {LOWEST:g} to {HIGHEST:g} mm"
        )
    return np.asarray(levels)


def _check(seed: int, size: int, pixel: float, thickness: float, variety: float) -> None:
    if seed < 0:
        raise InvalidSetting(f"seed {seed}: must not be negative")
    if size < 1 or not 0 < pixel < np.inf or size * pixel < FIELD_MM:
        raise InvalidSetting(f"{size} pixels of {pixel} mm: a patient needs a field of {FIELD_MM:g} mm or more")
    if not 0 <= variety <= 5:
        raise InvalidSetting(f"variety {variety}: must be from 0 to 5")
    if not 0 < thickness <= 20:
        raise InvalidSetting(f"slice thickness {thickness} mm: must be above 0 and at most 20 mm")

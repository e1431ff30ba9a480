"""Digital patient: a random body generated from a seed, rendered to noise-free CT slices with a label per voxel."""

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
"""Lowest and highest slice of each region, in mm above the top of L1."""

LOWEST, HIGHEST = -380.0, 385.0
"""Limits of the anatomy that is modelled, in mm above the top of L1."""

MIN_FIELD_MM = 300.0
"""Smallest field of view that holds any patient."""


@dataclass(frozen=True)
class Patient:
    """A digital patient rendered to slices.

    Attributes
    ----------
    volume : Volume
        Noise-free HU.
    labels : (z, y, x), uint8
        Anatomical label of each voxel, explained by ``names``.
    lesions : tuple of Lesion
        Lesions that reach into the volume.
    lesion_mask : (z, y, x), bool
        Union of the masks of all lesions.
    build : Build
        Sex, age, size and other traits drawn from the seed.
    phase : str
        Contrast phase.
    """

    volume: Volume
    labels: NDArray[np.uint8]
    lesions: tuple[Lesion, ...]
    lesion_mask: NDArray[np.bool_]
    build: Build
    phase: str

    @property
    def names(self) -> Mapping[int, str]:
        """Names of the labels, the same for every patient."""
        return NAMES


def digital_patient(
    seed: int, *, region: str | tuple[float, float] = "abdomen", slices: int | None = None, size: int = 512,
    pixel_mm: float = 0.74, spacing_mm: float = 3.0, thickness_mm: float | None = None, phase: str = "portal_venous",
    lesions: bool = True, build: Build | None = None, variety: float = 1.0,
) -> Patient:  # fmt: skip
    """Generate the patient of ``seed``, supine and head first, in axial slices without noise.

    The anatomy at a position depends only on the seed and on that position, not on the grid. x and y are 0 in the
    middle of the image, z is 0 at the top of L1 and grows towards the head.

    Parameters
    ----------
    seed : int
        Seed of the body, its contrast uptake and its lesions.
    region : str or (lowest, highest), mm
        One of ``REGIONS``, or the lowest and the highest slice above the top of L1.
    slices : int, optional
        Number of slices, centred on the region; by default as many as fill the region.
    size, pixel_mm : int, mm
        Rows and columns of a slice, and the pixel size.
    spacing_mm, thickness_mm : mm
        Distance and thickness of the slices; by default they are as thick as their distance.
    phase : str
        One of ``lowdose.phantom.contrast_phases.PHASES``.
    lesions : bool
        Whether to insert lesions.
    build : Build, optional
        Body to use instead of the one drawn from the seed.
    variety : float
        Factor on how much the positions and sizes of organs differ between patients; 0 makes all alike.

    Raises
    ------
    InvalidSetting
        For a value out of range, or a field of view below the 300 mm that any patient needs.
    """
    positions = _slice_positions(region, slices, spacing_mm)
    thick = spacing_mm if thickness_mm is None else thickness_mm
    _check_settings(seed, size, pixel_mm, thick, variety)

    coordinates = BodyCoordinates(seed, Build.draw(seed) if build is None else build, variety=variety)
    scene = Scene(coordinates, enhancement(phase, coordinates.rng("uptake")))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        rendered = list(pool.map(lambda z: scene.slice(float(z), size, pixel_mm, thick), positions))
    half = 0.5 * (size - 1) * pixel_mm
    geometry = Geometry((spacing_mm, pixel_mm, pixel_mm), (-half, -half, float(positions[0])))
    volume = Volume(
        np.stack([image for image, _ in rendered]), geometry, Acquisition("PHANTOM", thick, 120.0, "lowdose")
    )
    labels = np.stack([label for _, label in rendered])
    inserted: tuple[Lesion, ...] = ()
    if lesions:
        volume, inserted = insert_planned_lesions(scene, volume, labels)
    mask = np.any([lesion.mask for lesion in inserted], axis=0) if inserted else np.zeros(labels.shape, bool)
    return Patient(volume, labels, inserted, mask, scene.coordinates.build, phase)


def _slice_positions(region: str | tuple[float, float], slices: int | None, spacing: float) -> NDArray[np.float64]:
    """Return the z positions (slices,) in mm above the top of L1."""
    if isinstance(region, str) and region not in REGIONS:
        raise InvalidSetting(f"region {region!r}: one of {', '.join(REGIONS)}, or (lowest, highest) in mm above L1")
    if not 0 < spacing < np.inf:
        raise InvalidSetting(f"spacing {spacing} mm: needs a positive number")
    low, high = REGIONS[region] if isinstance(region, str) else region
    if not LOWEST <= low <= high <= HIGHEST:
        raise InvalidSetting(f"region {low:g} to {high:g} mm: must rise, from {LOWEST:g} to {HIGHEST:g} mm")
    count = int((high - low) / spacing + 1e-6) + 1 if slices is None else slices
    positions = 0.5 * (low + high) + (np.arange(count) - (count - 1) / 2) * spacing
    if count < 1 or positions[0] < LOWEST or positions[-1] > HIGHEST:
        middle = 0.5 * (low + high)
        raise InvalidSetting(
            f"{count} slices {spacing:g} mm apart around {middle:g} mm: needs one or more, "
            f"all from {LOWEST:g} to {HIGHEST:g} mm"
        )
    return np.asarray(positions)


def _check_settings(seed: int, size: int, pixel: float, thickness: float, variety: float) -> None:
    if seed < 0:
        raise InvalidSetting(f"seed {seed}: must not be negative")
    if size < 1 or not 0 < pixel < np.inf or size * pixel < MIN_FIELD_MM:
        raise InvalidSetting(f"{size} pixels of {pixel} mm: a patient needs a field of {MIN_FIELD_MM:g} mm or more")
    if not 0 <= variety <= 5:
        raise InvalidSetting(f"variety {variety}: must be from 0 to 5")
    if not 0 < thickness <= 20:
        raise InvalidSetting(f"slice thickness {thickness} mm: must be above 0 and at most 20 mm")

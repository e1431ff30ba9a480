"""False results for ``drift_detection``: noise, a lesion that was not there, an organ that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lowdose.image import HU, Mask
from lowdose.organ_classes import INDEX

FAT_HU, SOLID_HU = -100.0, 40.0
STEP_HU = 60.0
"""Contrast of a lesion with its organ."""
LARGE_MM, SMALL_MM = (15.0, 30.0), (8.0, 15.0)
"""Diameters of large and small lesions."""
LESION_SITES = ("liver", "spleen", "kidney", "lung, solid", "lung, faint")
ORGANS = ("kidney", "spleen", "gallbladder", "aorta")


def noise(shape: Sequence[int], pixel: float, sd: float, rng: np.random.Generator) -> HU:
    """Return noise as a smooth kernel leaves it: a ramp with a Gaussian roll-off at 0.35 cycles per mm."""
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side, pixel) for side in shape), indexing="ij"))
    made = np.fft.ifft2(np.fft.fft2(rng.standard_normal(shape)) * f * np.exp(-np.square(f / 0.35))).real
    return np.asarray(made / made.std() * sd, np.float32)


def paste_lesion(
    hu: HU,
    organs: NDArray[Any],
    where: str,
    pixel: float,
    rng: np.random.Generator,
    diameters: tuple[float, float] = LARGE_MM,
) -> tuple[HU, Mask] | None:
    """Put a lesion into the organ; return the image and the mask of the lesion, or None where none fits."""
    radius = rng.uniform(*diameters) / 2
    depth = ndimage.distance_transform_edt(organs == INDEX[where.split(",")[0]]) * pixel
    if depth.max() < radius:
        return None
    places = np.argwhere(depth >= min(radius + 2, depth.max()))
    down, along = places[rng.integers(len(places))]
    y, x = np.ogrid[: hu.shape[0], : hu.shape[1]]
    cover = np.clip((radius - np.hypot((y - down) * pixel, (x - along) * pixel)) / 1.5 + 0.5, 0, 1)
    step = STEP_HU * (1 if "lung" in where else rng.choice((-1, 1)))
    if where == "lung, solid":
        target = SOLID_HU + noise(hu.shape, pixel, 10.0, rng)
    elif where == "lung, faint":
        target = hu + step
    else:  # smoothed, since a lesion pushes vessels aside
        smooth = ndimage.gaussian_filter(hu, 3)
        target = smooth + step + 0.5 * (hu - smooth)
    return (hu + cover * (target - hu)).astype(np.float32), cover > 0.5


def erase_organ(
    hu: HU, organs: NDArray[Any], organ: str, pixel: float, rng: np.random.Generator
) -> tuple[HU, Mask] | None:
    """Fill the largest piece of an organ with fat; return the image and the mask of the organ.

    None where the organ is not in the slice, or less than 500 mm2 of it.
    """
    pieces, count = ndimage.label(organs == INDEX[organ])
    sizes = np.bincount(pieces.ravel(), minlength=2)[1:]
    if not count or sizes.max() * pixel**2 < 500:
        return None
    gone = ndimage.binary_dilation(pieces == 1 + sizes.argmax(), iterations=3)
    cover = ndimage.gaussian_filter(gone.astype(np.float32), 1.2)
    return (hu + cover * (FAT_HU + noise(hu.shape, pixel, 8.0, rng) - hu)).astype(np.float32), gone

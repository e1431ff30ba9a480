"""Slices put in spatial order, the grid they form if they form one, and every irregularity in a plain sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lowdose.image import Geometry, Vector
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.source import Plane

SAME_PLACE = 1e-2
"""mm. Slices nearer than this are duplicates."""

TILT = 0.5
"""Degrees between the step from slice to slice and the slice normal, or of the gantry, from which a tilt is told."""

SELECTED = 3.0
"""Times what a header states: the slices of a series whose usual step is longer were picked by hand."""

REPEATED = 0.1
"""Of the steps of a series; a step that occurs less often is not its usual one."""

Points = NDArray[np.float64]


def sort_by_position(images: Sequence[SliceHeader]) -> tuple[list[SliceHeader], list[str]]:
    """The images along increasing position, each plane with its position in mm; and what is odd about the order."""
    first = next((image.plane.axes for image in images if image.plane.axes), None)
    if first is None or any(image.plane.corner is None for image in images):
        ordered = sorted(images, key=lambda image: (image.numbers[::-1], str(image.path), image.frame))
        told = ["The headers do not say where each slice lies; the order is that of the instance numbers."]
        return ordered, told if len(images) > 1 else []
    along = slice_normal(first)
    placed = [
        replace(image, plane=replace(image.plane, position=float(np.dot(along, image.plane.corner or (0, 0, 0)))))
        for image in images
    ]
    # positions of duplicates differ by rounding only, so that ties are decided by the numbers, not by noise
    placed.sort(key=lambda image: (round(image.plane.position or 0.0, 2), image.numbers, str(image.path), image.frame))
    return placed, _numbering(placed)


def _numbering(ordered: Sequence[SliceHeader]) -> list[str]:
    steps = np.diff([image.numbers[1] for image in ordered])
    if len(steps) < 2 or not steps.any() or (steps > 0).all() or (steps < 0).all():
        return []
    return ["Instance numbers do not follow the position of the slices; the order is that of the positions."]


def slice_normal(axes: tuple[Vector, Vector]) -> Vector:
    """Unit normal of a slice with (down, along) axes."""
    x, y, z = np.cross(axes[1], axes[0])
    return float(x), float(y), float(z)


def mixed_properties(planes: Sequence[Plane]) -> list[str]:
    """One sentence per property in which the slices differ although a series should not."""
    told = []
    shapes = sorted({plane.shape for plane in planes})
    if len(shapes) > 1:
        told.append(f"The slices have different matrix sizes: {', '.join(f'{c}x{r}' for r, c in shapes)}.")
    missing = sum(plane.pixel_mm is None for plane in planes)
    if missing:
        told.append(f"{missing} of {len(planes)} slices do not state their pixel spacing.")
    spacings = sorted({plane.pixel_mm for plane in planes if plane.pixel_mm})
    if spacings and not np.allclose(spacings, spacings[0], rtol=1e-3):
        told.append(f"The pixel spacing varies from {spacings[0][0]:g} to {spacings[-1][0]:g} mm.")
    turns = {tuple(np.round(np.ravel(plane.axes), 3)) for plane in planes if plane.axes}
    if len(turns) > 1:
        told.append(f"The slices have {len(turns)} different orientations.")
    return told


def tilt(corners: Points, axes: tuple[Vector, Vector], stated: float) -> list[str]:
    """A sentence when the slices do not lie straight above each other, or the gantry is said to be tilted."""
    step = corners[-1] - corners[0] if len(corners) > 1 else np.zeros(3)
    length = float(np.linalg.norm(step))
    angle = (
        float(np.degrees(np.arccos(min(1.0, abs(float(step @ slice_normal(axes))) / length)))) if length > 0 else 0.0
    )
    if angle > TILT:
        return [f"The gantry was tilted: the slices are stacked {angle:.1f} degrees off their normal."]
    return [f"The gantry was tilted by {stated:g} degrees."] if stated else []


def gaps(positions: Points, stated: float | None, thickness: float | None) -> tuple[float | None, list[str]]:
    """(spacing in mm, or None when the slices are not evenly spaced; what is odd), from sorted positions.

    stated: what the header says lies between slices; mm.
    """
    steps = np.diff(positions)
    apart = steps[steps >= SAME_PLACE]
    told = []
    if len(apart) < len(steps):
        told.append(f"Duplicates: {len(steps) - len(apart)} of the slices lie at the same place as the one before.")
    if len(apart) == 0:
        return None, told
    usual = float(np.median(apart))
    if not _off(apart, usual).any():
        return (usual if len(apart) == len(steps) else None), told
    nominal = stated or thickness
    if nominal and usual > SELECTED * nominal:
        told.append(
            f"The slices are not contiguous: {apart.min():.4g} to {apart.max():.4g} mm from one to the next in a "
            f"series with {nominal:.4g} mm."
        )
        return None, told
    return None, told + _odd_steps(apart, _usual_step(apart, stated, thickness))


def _off(steps: Points, usual: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(steps - usual) > max(SAME_PLACE, 0.02 * usual))


def _usual_step(steps: Points, stated: float | None, thickness: float | None) -> float:
    """mm from slice to slice where none is missing: as stated, else the smallest repeated step, else the thickness."""
    smallest = float(steps.min())
    if stated and smallest > 0.98 * stated:
        return stated
    if thickness and not _off(steps.min(keepdims=True), thickness).any():
        return smallest
    often = max(2, REPEATED * len(steps))
    repeated = [float(step) for step in np.sort(steps) if np.count_nonzero(~_off(steps, step)) >= often]
    if repeated:
        return repeated[0]
    return smallest if thickness is None or smallest >= thickness / 2 else thickness


def _odd_steps(steps: Points, usual: float) -> list[str]:
    """A sentence for steps that are a multiple of the usual one, and one for all others."""
    told, ratio = [], steps / usual
    nearest, off = np.rint(ratio), _off(steps, usual)
    skipped = off & (nearest >= 2) & (np.abs(ratio - nearest) < 0.05)
    if skipped.any():
        count, widest = int((nearest[skipped] - 1).sum()), float(steps[skipped].max())
        told.append(
            f"About {count} {'slices are' if count > 1 else 'slice is'} missing: gaps of up to {widest:.4g} mm in a "
            f"series with {usual:.4g} mm between slices."
        )
    if (off & ~skipped).any():
        told.append(f"The gaps between slices are uneven: {steps.min():.4g} to {steps.max():.4g} mm.")
    return told


def find_grid(images: Sequence[SliceHeader]) -> tuple[Geometry | None, list[str]]:
    """The one grid of slices in order, or None; and one sentence per irregularity.

    A tilted stack is one grid whose first axis is not square to the other two.
    """
    planes = [image.plane for image in images]
    told = mixed_properties(planes)
    thicknesses = sorted({image.thickness_mm for image in images if image.thickness_mm})
    thick = (
        [f"The slice thickness varies from {thicknesses[0]:g} to {thicknesses[-1]:g} mm."]
        if len(thicknesses) > 1
        else []
    )
    axes, pixel = planes[0].axes, planes[0].pixel_mm
    stated = next((image.tilt for image in images if image.tilt), 0.0)
    if axes is None or any(plane.position is None for plane in planes):
        return None, told + thick
    corners = np.array([plane.corner for plane in planes], dtype=np.float64)
    between = sorted({image.step_mm for image in images if image.step_mm and image.step_mm > 0})
    positions = np.array([plane.position for plane in planes])
    spacing, odd = gaps(positions, next(iter(between), None), next(iter(thicknesses), None))
    whole = pixel is not None and not told and not odd
    told += thick + tilt(corners, axes, stated) + odd
    if len(images) == 1:
        spacing = images[0].thickness_mm
    if not whole or pixel is None or not spacing or spacing <= 0:
        return None, told
    step = (corners[-1] - corners[0]) / (len(images) - 1) if len(images) > 1 else spacing * np.array(slice_normal(axes))
    length = float(np.linalg.norm(step))
    straight = np.linalg.norm(corners - corners[0] - np.arange(len(images))[:, None] * step, axis=1)
    if straight.max() > max(0.1, 0.1 * min(pixel)):
        return None, [*told, f"The slices are shifted sideways against each other, by up to {straight.max():.1f} mm."]
    x, y, z = (float(value) for value in corners[0])
    along = tuple(float(value) for value in step / length)
    return Geometry((length, *pixel), (x, y, z), ((along[0], along[1], along[2]), *axes)), told

"""The voxel grid that slices form if they form one, and a sentence for every irregularity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lowdose.image import Geometry, Vector
from lowdose.io.source import Plane

if TYPE_CHECKING:
    from lowdose.io.dicom.image import SliceHeader

DUPLICATE_MM = 1e-2
"""Slices nearer than this, in mm, are duplicates."""

POSITION_MM, POSITION_SHARE = 0.1, 0.05
"""Positions in two series that differ by at most this, in mm or as a fraction of their step, are the same."""

MIN_TILT_DEGREES = 0.5
"""Angle in degrees between the stacking direction and the slice normal above which a tilt is reported."""

SPARSE_RATIO = 3.0
"""Ratio of the usual step to the step (or thickness) in the header above which a series is a selection of slices.

Someone picked these slices out of a contiguous stack.
"""

REPEATED_SHARE = 0.1
"""Fraction of the steps of a series; a step that occurs less often is not the usual one."""

Points = NDArray[np.float64]


def slice_normal(axes: tuple[Vector, Vector]) -> Vector:
    """Return the unit normal of a slice, given its axes (down the rows, along the columns)."""
    x, y, z = np.cross(axes[1], axes[0])
    return float(x), float(y), float(z)


def position_tolerance(positions: Iterable[float]) -> float:
    """Return by how much, in mm, a position may differ from those of a series and still be the same."""
    steps = np.diff(np.unique(np.round(np.fromiter(positions, np.float64), 3)))
    return max(POSITION_MM, POSITION_SHARE * float(steps.min()) if len(steps) else 0.0)


def mixed_properties(planes: Sequence[Plane]) -> list[str]:
    """Return a message for each property that differs between slices although a series should have one value."""
    messages = []
    shapes = sorted({plane.shape for plane in planes})
    if len(shapes) > 1:
        messages.append(f"The slices have different matrix sizes: {', '.join(f'{c}x{r}' for r, c in shapes)}.")
    missing = sum(plane.pixel_mm is None for plane in planes)
    if missing:
        messages.append(f"{missing} of {len(planes)} slices do not state their pixel spacing.")
    spacings = sorted({plane.pixel_mm for plane in planes if plane.pixel_mm})
    if spacings and not np.allclose(spacings, spacings[0], rtol=1e-3):
        messages.append(f"The pixel spacing varies from {spacings[0][0]:g} to {spacings[-1][0]:g} mm.")
    orientations = {tuple(np.round(np.ravel(plane.axes), 3)) for plane in planes if plane.axes}
    if len(orientations) > 1:
        messages.append(f"The slices have {len(orientations)} different orientations.")
    return messages


def tilt(corners: Points, axes: tuple[Vector, Vector], stated: float) -> list[str]:
    """Return a message when the slices are stacked off their normal, or when the header states a gantry tilt.

    ``stated`` is the tilt in the header in degrees.
    """
    step = corners[-1] - corners[0] if len(corners) > 1 else np.zeros(3)
    length = float(np.linalg.norm(step))
    angle = (
        float(np.degrees(np.arccos(min(1.0, abs(float(step @ slice_normal(axes))) / length)))) if length > 0 else 0.0
    )
    if angle > MIN_TILT_DEGREES:
        return [f"The gantry was tilted: the slices are stacked {angle:.1f} degrees off their normal."]
    return [f"The gantry was tilted by {stated:g} degrees."] if stated else []


def gaps(positions: Points, stated: float | None, thickness: float | None) -> tuple[float | None, list[str]]:
    """Return the slice spacing in mm and messages on irregular steps, from sorted positions.

    The spacing is None when the slices are not evenly spaced. ``stated`` is the spacing between slices in the header,
    in mm; ``thickness`` the slice thickness in mm.
    """
    steps = np.diff(positions)
    positive_steps = steps[steps >= DUPLICATE_MM]
    messages = []
    if len(positive_steps) < len(steps):
        messages.append(
            f"Duplicates: {len(steps) - len(positive_steps)} of the slices lie at the same place as the one before."
        )
    if len(positive_steps) == 0:
        return None, messages
    usual = float(np.median(positive_steps))
    if not _differs(positive_steps, usual).any():
        return (usual if len(positive_steps) == len(steps) else None), messages
    nominal = stated or thickness
    if nominal and usual > SPARSE_RATIO * nominal:
        messages.append(
            f"The slices are not contiguous: {positive_steps.min():.4g} to {positive_steps.max():.4g} mm from one to "
            f"the next in a series with {nominal:.4g} mm."
        )
        return None, messages
    return None, messages + _irregular_steps(positive_steps, _usual_step(positive_steps, stated, thickness))


def _differs(steps: Points, usual: float) -> NDArray[np.bool_]:
    """Return which steps differ from the usual one by more than 2 % and DUPLICATE_MM."""
    return np.asarray(np.abs(steps - usual) > max(DUPLICATE_MM, 0.02 * usual))


def _usual_step(steps: Points, stated: float | None, thickness: float | None) -> float:
    """Return the step in mm between slices where none is missing.

    That is the stated one, else the smallest repeated step, else the slice thickness.
    """
    smallest = float(steps.min())
    if stated and smallest > 0.98 * stated:
        return stated
    if thickness and not _differs(steps.min(keepdims=True), thickness).any():
        return smallest
    min_count = max(2, REPEATED_SHARE * len(steps))
    repeated = [float(step) for step in np.sort(steps) if np.count_nonzero(~_differs(steps, step)) >= min_count]
    if repeated:
        return repeated[0]
    return smallest if thickness is None or smallest >= thickness / 2 else thickness


def _irregular_steps(steps: Points, usual: float) -> list[str]:
    """Return a message on steps that are a multiple of the usual one, and one on all other irregular steps."""
    messages, ratio = [], steps / usual
    nearest, irregular = np.rint(ratio), _differs(steps, usual)
    skipped = irregular & (nearest >= 2) & (np.abs(ratio - nearest) < 0.05)
    if skipped.any():
        count, widest = int((nearest[skipped] - 1).sum()), float(steps[skipped].max())
        messages.append(
            f"About {count} {'slices are' if count > 1 else 'slice is'} missing: gaps of up to {widest:.4g} mm in a "
            f"series with {usual:.4g} mm between slices."
        )
    if (irregular & ~skipped).any():
        messages.append(f"The gaps between slices are uneven: {steps.min():.4g} to {steps.max():.4g} mm.")
    return messages


def find_grid(images: Sequence[SliceHeader]) -> tuple[Geometry | None, list[str]]:
    """Return the grid that slices in order form, or None, and one message per irregularity.

    A tilted stack is one grid whose first axis is not orthogonal to the other two. Several stacks are no grid.
    """
    planes = [image.plane for image in images]
    stacks = {plane.stack: [image for image in images if image.plane.stack == plane.stack] for plane in planes}
    if len(stacks) > 1:
        return None, list(dict.fromkeys(text for stack in stacks.values() for text in find_grid(stack)[1]))
    messages = mixed_properties(planes)
    thicknesses = sorted({image.thickness_mm for image in images if image.thickness_mm})
    thickness_messages = (
        [f"The slice thickness varies from {thicknesses[0]:g} to {thicknesses[-1]:g} mm."]
        if len(thicknesses) > 1
        else []
    )
    axes, pixel = planes[0].axes, planes[0].pixel_mm
    stated = next((image.tilt for image in images if image.tilt), 0.0)
    if axes is None or any(plane.position is None for plane in planes):
        return None, messages + thickness_messages
    corners = np.array([plane.corner for plane in planes], dtype=np.float64)
    stated_steps = sorted({image.step_mm for image in images if image.step_mm and image.step_mm > 0})
    positions = np.array([plane.position for plane in planes])
    spacing, gap_messages = gaps(positions, next(iter(stated_steps), None), next(iter(thicknesses), None))
    regular = pixel is not None and not messages and not gap_messages
    messages += thickness_messages + tilt(corners, axes, stated) + gap_messages
    if len(images) == 1:
        spacing = images[0].thickness_mm
    if not regular or pixel is None or not spacing or spacing <= 0:
        return None, messages
    step = (corners[-1] - corners[0]) / (len(images) - 1) if len(images) > 1 else spacing * np.array(slice_normal(axes))
    length = float(np.linalg.norm(step))
    sideways_shift = np.linalg.norm(corners - corners[0] - np.arange(len(images))[:, None] * step, axis=1)
    if sideways_shift.max() > max(0.1, 0.1 * min(pixel)):
        return None, [
            *messages,
            f"The slices are shifted sideways against each other, by up to {sideways_shift.max():.1f} mm.",
        ]
    x, y, z = (float(value) for value in corners[0])
    along = tuple(float(value) for value in step / length)
    return Geometry((length, *pixel), (x, y, z), ((along[0], along[1], along[2]), *axes)), messages

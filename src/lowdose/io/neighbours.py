"""Neighbouring slices of a series, and iteration over a series with each slice amid its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from lowdose.image import Slice
from lowdose.io.dicom.grid import DUPLICATE_MM, SPARSE_RATIO, slice_normal
from lowdose.io.source import Plane, Source

MAX_STEP_RATIO = 1.5
"""Largest distance of neighbouring slices, as a multiple of the usual step of the series.

Beyond it a slice is missing in between.
"""


def linked_slices(planes: Sequence[Plane], thickness_mm: float | None) -> list[bool]:
    """Return for each slice but the last whether it and the next one are neighbours, in order.

    Two slices are neighbours where they are of one stack, both positions are known, the step between them is not zero
    and at most MAX_STEP_RATIO times the usual step, and one lies above the other with the same matrix. The slices of a
    series that were selected from a thicker stack (a usual step of more than SPARSE_RATIO times ``thickness_mm``; None
    where it is not stated) show different anatomy and have no neighbours.
    """
    steps = np.array([_step(one, other) for one, other in pairwise(planes)])
    positive_steps = steps[steps >= DUPLICATE_MM]
    if len(positive_steps) == 0:
        return [False] * len(steps)
    # The lower median: where every second step skips a missing slice, that wider step is not the usual one.
    usual = float(np.quantile(positive_steps, 0.5, method="lower"))
    if thickness_mm and usual > SPARSE_RATIO * thickness_mm:
        return [False] * len(steps)
    close_enough = (steps >= DUPLICATE_MM) & (steps <= MAX_STEP_RATIO * usual)
    return [
        bool(is_close) and _are_stacked(*pair) for is_close, pair in zip(close_enough, pairwise(planes), strict=True)
    ]


def _step(one: Plane, other: Plane) -> float:
    """Return the distance of two slices along the normal in mm.

    NaN where a position is not known or they are of different stacks; it compares as neither near nor far.
    """
    if one.position is None or other.position is None or one.stack != other.stack:
        return float("nan")
    return abs(other.position - one.position)


def _are_stacked(one: Plane, other: Plane) -> bool:
    """Return whether two slices at different positions share one grid and lie above each other, straight or obliquely.

    The step may lean up to 45 degrees off the slice normal, more than any gantry tilt: slices of a tilted gantry are
    stacked along the patient.
    """
    if one.shape != other.shape or (one.axes is None) != (other.axes is None):
        return False
    if one.axes and other.axes and not np.allclose(one.axes, other.axes, atol=1e-3):
        return False
    if (one.pixel_mm is None) != (other.pixel_mm is None):
        return False
    if one.pixel_mm and other.pixel_mm and not np.allclose(one.pixel_mm, other.pixel_mm, rtol=1e-3, atol=0):
        return False
    if one.corner is None or other.corner is None or one.axes is None:
        return True
    step = np.array(other.corner) - np.array(one.corner)
    return bool(np.abs(np.array(one.axes) @ step).max() <= abs(float(step @ slice_normal(one.axes))))


def context_of(links: Sequence[bool], index: int, context: int) -> list[int]:
    """Return the indices of the 2 * context + 1 slices around slice ``index``, in order along the series.

    ``links`` is the result of ``linked_slices``. On either side, from the first missing link on, the slice itself takes
    the place of the neighbours.
    """
    below = above = 0
    while below < context and index > below and links[index - below - 1]:
        below += 1
    while above < context and index + above < len(links) and links[index + above]:
        above += 1
    return [index + step if -below <= step <= above else index for step in range(-context, context + 1)]


def slice_windows(source: Source, context: int, indices: Iterable[int] | None = None) -> Iterator[list[Slice]]:
    """Yield each slice of a series with its neighbours, 2 * context + 1 slices as ``context_of`` chooses them.

    ``indices``, in increasing order, restricts the middle slices. Each slice is decoded once, and no more than
    2 * context + 1 are held, provided that the caller releases each list before it asks for the next. Raises what
    ``Source.read`` raises.
    """
    links = linked_slices(source.planes, source.acquisition.thickness_mm) if context else []
    cached: dict[int, Slice] = {}
    for index in range(len(source)) if indices is None else indices:
        places = context_of(links, index, context)
        cached = {place: item for place, item in cached.items() if min(places) <= place <= max(places)}
        for place in sorted(set(places)):
            if place not in cached:
                cached[place] = source.read(place)
        yield [cached[place] for place in places]

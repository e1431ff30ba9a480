"""Which slices of a series lie next to each other, and a series read so that each slice comes amid its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from lowdose.image import Slice
from lowdose.io.dicom.grid import SAME_PLACE, SELECTED, slice_normal
from lowdose.io.source import Plane, Source

FARTHEST = 1.5
"""Times the usual step between slices; farther away a slice is no neighbour: one is missing between."""


def linked_slices(planes: Sequence[Plane], thickness_mm: float | None) -> list[bool]:
    """Whether each slice and the next are neighbours; one value fewer than there are slices, in order.

    They are where both positions are known, the step is longer than nothing and at most FARTHEST times the usual one,
    and one lies above the other in the same matrix. Slices that were picked by hand out of a thicker stack (a usual
    step of more than SELECTED times ``thickness_mm``, None = not stated) show other anatomy and have no neighbours.
    """
    steps = np.array([_step(one, other) for one, other in pairwise(planes)])
    apart = steps[steps >= SAME_PLACE]
    if len(apart) == 0:
        return [False] * len(steps)
    # Of an even number the lower one: where every other gap is a missing slice, the gap is not the usual step.
    usual = float(np.quantile(apart, 0.5, method="lower"))
    if thickness_mm and usual > SELECTED * thickness_mm:
        return [False] * len(steps)
    near = (steps >= SAME_PLACE) & (steps <= FARTHEST * usual)
    return [bool(close) and _above(*pair) for close, pair in zip(near, pairwise(planes), strict=True)]


def _step(one: Plane, other: Plane) -> float:
    """mm along the normal; NaN, which is neither near nor far, where a position is not known."""
    if one.position is None or other.position is None:
        return float("nan")
    return abs(other.position - one.position)


def _above(one: Plane, other: Plane) -> bool:
    """Whether two slices at different places have one grid, one straight or obliquely above the other.

    Up to 45 degrees off the normal, which every gantry tilt is: a tilted stack is stacked along the patient.
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
    """The 2 * context + 1 slices that stand for slice ``index`` and its neighbours, in order along the series.

    links: of ``linked``. From the first link that is missing on, on either side, the slice itself stands in.
    """
    below = above = 0
    while below < context and index > below and links[index - below - 1]:
        below += 1
    while above < context and index + above < len(links) and links[index + above]:
        above += 1
    return [index + step if -below <= step <= above else index for step in range(-context, context + 1)]


def slice_windows(source: Source, context: int, indices: Iterable[int] | None = None) -> Iterator[list[Slice]]:
    """Of every slice of a series, or of those at increasing ``indices``: its ``around``, itself in the middle.

    Each slice is decoded once. No more than 2 * context + 1 are held, by a caller that lets go of each list before it
    asks for the next. Raises what ``Source.read`` raises.
    """
    links = linked_slices(source.planes, source.acquisition.thickness_mm) if context else []
    held: dict[int, Slice] = {}
    for index in range(len(source)) if indices is None else indices:
        places = context_of(links, index, context)
        held = {place: item for place, item in held.items() if min(places) <= place <= max(places)}
        for place in sorted(set(places)):
            if place not in held:
                held[place] = source.read(place)
        yield [held[place] for place in places]

"""Slices of a training set amid their neighbours: which items see which others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple, Protocol

from lowdose.data.pack.reader import Pack
from lowdose.io.neighbours import linked_slices
from lowdose.io.source import Plane


class StackPosition(NamedTuple):
    """name: of an unbroken stack of neighbouring slices. place: in it. overlap: of two neighbours, as a share of one.

    Slices that are thicker than the step between them are made of the same photons in part, so they share noise.
    """

    name: str
    place: int
    overlap: float = 0.0


class HasStackPosition(Protocol):
    """A slice that knows its place in a stack; None = it has no neighbours."""

    @property
    def stack_position(self) -> StackPosition | None: ...


def stack_positions(name: str, planes: Sequence[Plane], thickness_mm: float | None) -> list[StackPosition]:
    """The place of every slice of a series in its stack, in order; ``name`` tells the series from every other."""
    links = linked_slices(planes, thickness_mm)
    steps = [abs(other.position - one.position) for (one, other), link in zip(pairwise(planes), links, strict=True)
             if link and one.position is not None and other.position is not None]  # fmt: skip
    overlap = max(0.0, 1 - median(steps) / thickness_mm) if steps and thickness_mm else 0.0
    number = place = 0
    found = [StackPosition(f"{name} {number}", place, overlap)] if planes else []
    for link in links:
        number, place = (number, place + 1) if link else (number + 1, 0)
        found.append(StackPosition(f"{name} {number}", place, overlap))
    return found


def packed_stack_positions(pack: Pack, indices: Sequence[int]) -> list[StackPosition]:
    """The same of slices of one series of a pack, which does not say how slices are turned: all alike."""
    rows = [pack.slices[index] for index in indices]
    planes = [Plane(row.shape, row.pixel_mm, position=row.position) for row in rows]
    series = rows[0].series if rows else 0
    return stack_positions(f"{pack.path} {series}", planes, pack.series[series].thickness_mm)


def context_indices(items: Sequence[HasStackPosition], context: int) -> list[list[int]]:
    """Of each item the 2 * context + 1 items that stand for it and its neighbours, in order along the stack.

    From the first that is missing on, on either side, the item itself stands in, as at inference
    (``io.neighbours.context_of``).
    """
    places = {item.stack_position: place for place, item in enumerate(items) if item.stack_position is not None}
    found = []
    for place, item in enumerate(items):
        below, above = (_along(places, item.stack_position, side * context) for side in (-1, 1))
        alone = ([place] * (context - len(side)) for side in (below, above))
        found.append([*next(alone), *reversed(below), place, *above, *next(alone)])
    return found


def _along(places: dict[StackPosition, int], start: StackPosition | None, steps: int) -> list[int]:
    """From the slice next to ``start`` on, as far as there are any, at most ``abs(steps)``."""
    found: list[int] = []
    side = 1 if steps > 0 else -1
    while start is not None and len(found) < abs(steps):
        start = start._replace(place=start.place + side)
        if start not in places:
            break
        found.append(places[start])
    return found


def trainable_indices(around: Sequence[Sequence[int]]) -> list[int]:
    """Which of the items, whose ``context_indices`` these are, to learn to denoise.

    All, but for those that lack a neighbour beside one that lacks none: of three slices taken out of a series the
    middle one, which shows the same anatomy and is what nearly all slices of a whole series are like.
    """
    whole = {place for place, seen in enumerate(around) if len(set(seen)) == len(seen)}
    return [place for place, seen in enumerate(around) if place in whole or whole.isdisjoint(seen)]

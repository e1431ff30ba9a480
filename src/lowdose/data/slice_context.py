"""Neighbouring slices of the items of a training set, which a network sees beside the slice that it denoises."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple, Protocol

from lowdose.data.pack.reader import Pack
from lowdose.io.neighbours import linked_slices
from lowdose.io.source import Plane


class StackPosition(NamedTuple):
    """Position of a slice in an unbroken stack of neighbouring slices.

    Attributes
    ----------
    name : str
        Name of the stack.
    place : int
        Index within the stack.
    overlap : float
        Overlap of two neighbouring slices, as a fraction of the slice thickness. Slices that are thicker than the step
        between them are reconstructed in part from the same photons, so they share noise.
    """

    name: str
    place: int
    overlap: float = 0.0


class HasStackPosition(Protocol):
    """Slice with a position in a stack."""

    @property
    def stack_position(self) -> StackPosition | None:
        """Position among the neighbouring slices; None = no neighbours."""
        ...


def stack_positions(name: str, planes: Sequence[Plane], thickness_mm: float | None) -> list[StackPosition]:
    """Return the stack position of every slice of a series, in order; ``name`` must be unique to the series."""
    links = linked_slices(planes, thickness_mm)
    steps = [abs(other.position - one.position) for (one, other), link in zip(pairwise(planes), links, strict=True)
             if link and one.position is not None and other.position is not None]  # fmt: skip
    overlap = max(0.0, 1 - median(steps) / thickness_mm) if steps and thickness_mm else 0.0
    number = place = 0
    positions = [StackPosition(f"{name} {number}", place, overlap)] if planes else []
    for link in links:
        number, place = (number, place + 1) if link else (number + 1, 0)
        positions.append(StackPosition(f"{name} {number}", place, overlap))
    return positions


def packed_stack_positions(pack: Pack, indices: Sequence[int]) -> list[StackPosition]:
    """Return the stack positions of slices of one series of a pack.

    A pack does not store the orientation of slices, so all slices of a series are taken to have the same one. Nor does
    it store their stack; slices of a stack lie in order, so where the position goes back another stack begins.
    """
    rows = [pack.slices[index] for index in indices]
    planes: list[Plane] = []
    for row in rows:
        before = planes[-1] if planes else None
        back = before is not None and (row.position or 0.0) <= (before.position or 0.0)
        stack = 0 if before is None else before.stack + back
        planes.append(Plane(row.shape, row.pixel_mm, position=row.position, stack=stack))
    series = rows[0].series if rows else 0
    return stack_positions(f"{pack.path} {series}", planes, pack.series[series].thickness_mm)


def context_indices(items: Sequence[HasStackPosition], context: int) -> list[list[int]]:
    """Return for each item the indices of its 2 * context + 1 slices of context, in order along the stack.

    The item itself is in the middle. On either side, it also replaces the first missing neighbour and all beyond it, as
    at inference (``io.neighbours.context_of``).
    """
    places = {item.stack_position: place for place, item in enumerate(items) if item.stack_position is not None}
    contexts = []
    for place, item in enumerate(items):
        below, above = (_neighbours(places, item.stack_position, side * context) for side in (-1, 1))
        padding = ([place] * (context - len(side)) for side in (below, above))
        contexts.append([*next(padding), *reversed(below), place, *above, *next(padding)])
    return contexts


def _neighbours(places: dict[StackPosition, int], start: StackPosition | None, steps: int) -> list[int]:
    """Return the indices of up to ``abs(steps)`` neighbours of ``start`` on one side, nearest first, up to a gap."""
    neighbours: list[int] = []
    side = 1 if steps > 0 else -1
    while start is not None and len(neighbours) < abs(steps):
        start = start._replace(place=start.place + side)
        if start not in places:
            break
        neighbours.append(places[start])
    return neighbours


def has_all_neighbours(indices: Sequence[int]) -> bool:
    """Return whether no slice of a context, one of ``context_indices``, replaces a missing neighbour."""
    return len(set(indices)) == len(indices)


def trainable_indices(around: Sequence[Sequence[int]]) -> list[int]:
    """Choose the items to train on.

    around: the ``context_indices`` of all items. An item that lacks a neighbour is left out if one of its own
    neighbours has a complete context. So, of three slices taken out of a series, only the middle one is used: it shows
    the same anatomy, and it has neighbours on both sides as nearly all slices of a whole series do.
    """
    complete = {place for place, indices in enumerate(around) if has_all_neighbours(indices)}
    return [place for place, indices in enumerate(around) if place in complete or complete.isdisjoint(indices)]

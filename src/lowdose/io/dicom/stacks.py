"""Stacks of a series: phases, time points, energies or reconstructions that lie at the same places.

A stack is what a scanner shows as one volume: slices of one orientation, each place once. Images of one series may be
several stacks, and the neighbour of a slice is the next one of its own stack.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.plain_values import number
from lowdose.io.dicom.stack_attributes import KNOWN_NAMES, Attributes, read_attributes

FEWEST_PLACES = 3
"""Places that a stack must have where it is told from others by more than the number of images at each place."""
EVEN = 0.02
"""Largest difference of a step from the usual one, as a fraction, in an even stack."""

Indices = list[int]
Values = Sequence[Hashable]
"""Value of one attribute for each image."""


def split_stacks(images: Sequence[SliceHeader], places: Sequence[int]) -> tuple[list[Indices], list[str]]:
    """Return the indices of the images of each stack, and the names of what tells the stacks apart.

    ``places``: position of each image in units of what counts as the same place. Images that nothing tells apart stay
    in one stack.
    """
    if len(set(places)) == len(places) and _is_even(sorted(places)):
        return [list(range(len(images)))], []
    return _Splitter(images, places).run()


class _Splitter:
    """Search for the attributes that split a series into stacks; headers are read again as far as it takes."""

    def __init__(self, images: Sequence[SliceHeader], places: Sequence[int]) -> None:
        self._images, self._places = images, places
        self._known: list[Attributes] | None = None
        self._all: list[Attributes] | None = None
        self.names: list[str] = []

    def run(self) -> tuple[list[Indices], list[str]]:
        stacks = self._split(list(range(len(self._images))))
        if len(stacks) > 1:
            stacks.sort(key=lambda members: min(self._order(i)[:3] for i in members))
        return stacks, list(dict.fromkeys(self.names))

    def _split(self, members: Indices) -> list[Indices]:
        """Split images until every place occurs once in a stack, or nothing is left that tells them apart."""
        depth = self._depth(members)
        accepts = (self._factors, self._separates) if depth > 1 else (self._disentangles,)
        if depth == 1 and _is_even(sorted(self._places[i] for i in members)):
            return [members]
        for accept in accepts:
            for name, values in self._candidates():
                parts = self._parted(members, values)
                if 1 < len(parts) < max(len(members), depth + 1) and accept(parts, depth):
                    return self._split_further(name, parts)
        return self._split_by_rest(members, depth) if depth > 1 else [members]

    def _split_by_rest(self, members: Indices, depth: int) -> list[Indices]:
        """Split by any other attribute, else by the order of acquisition at each place."""
        every = self._attributes(False)
        names = {name for i in members for name in every[i].keys() - self._attributes(True)[i].keys()}
        for name in sorted(names, key=lambda name: (name.startswith("("), name)):  # private ones last
            parts = self._parted(members, [attributes.get(name) for attributes in every])
            if 1 < len(parts) <= depth and self._factors(parts, depth) and self._cover_half(parts, members):
                return self._split_further(name, parts)
        counts = Counter(self._places[i] for i in members)
        if 2 * sum(count > 1 for count in counts.values()) <= len(counts):
            return [members]  # mostly one image a place: some are there again
        turns: dict[int, Indices] = defaultdict(list)
        seen = Counter[int]()
        for i in sorted(members, key=self._order):
            turns[seen[self._places[i]]].append(i)
            seen[self._places[i]] += 1
        self.names.append("their order at each place")
        return list(turns.values())

    def _split_further(self, name: str, parts: list[Indices]) -> list[Indices]:
        self.names.append(name)
        return [stack for part in parts for stack in self._split(part)]

    def _depth(self, members: Indices) -> int:
        """Return the largest number of images at one place."""
        return max(Counter(self._places[i] for i in members).values())

    def _factors(self, parts: list[Indices], depth: int) -> bool:
        """Return whether the parts share out the images at each place between them."""
        return sum(self._depth(part) for part in parts) == depth

    def _separates(self, parts: list[Indices], _: int) -> bool:
        """Return whether every part has each place once, and is more than a few images."""
        return all(self._depth(part) == 1 and len(part) >= FEWEST_PLACES for part in parts)

    def _disentangles(self, parts: list[Indices], _: int) -> bool:
        """Return whether the parts are even stacks that lie between one another, although they share no place."""
        even = all(len(part) >= FEWEST_PLACES and _is_even(sorted(self._places[i] for i in part)) for part in parts)
        owner = {self._places[i]: number for number, part in enumerate(parts) for i in part}
        ordered = [owner[place] for place in sorted(owner)]
        return even and sum(a != b for a, b in pairwise(ordered)) > len(parts) - 1

    def _cover_half(self, parts: list[Indices], members: Indices) -> bool:
        places = len({self._places[i] for i in members})
        return all(2 * len({self._places[i] for i in part}) >= places for part in parts)

    def _candidates(self) -> Iterator[tuple[str, Values]]:
        planes = [image.plane for image in self._images]
        yield "matrix", [plane.shape for plane in planes]
        yield "PixelSpacing", [plane.pixel_mm for plane in planes]
        for name in KNOWN_NAMES:
            yield name, [attributes.get(name) for attributes in self._attributes(True)]
        in_plane = [np.rint(np.array(plane.axes) @ np.array(plane.corner)) for plane in planes]
        yield "ImagePositionPatient", [tuple(corner.tolist()) for corner in in_plane]

    def _parted(self, members: Indices, values: Values) -> list[Indices]:
        """Return the members by value: in the order of numbers, else of acquisition."""
        parts: dict[Hashable, Indices] = defaultdict(list)
        for i in members:
            parts[values[i]].append(i)
        numbers = {value: number(value.decode("latin-1") if isinstance(value, bytes) else None) for value in parts}
        if None not in numbers.values():
            return [parts[value] for value in sorted(parts, key=lambda value: numbers[value] or 0.0)]
        return sorted(parts.values(), key=lambda part: min(self._order(i) for i in part))

    def _attributes(self, known: bool) -> list[Attributes]:
        if known:
            self._known = self._known or read_attributes(self._images, True)
            return self._known
        self._all = self._all or read_attributes(self._images, False)
        return self._all

    def _order(self, index: int) -> tuple[object, ...]:
        """Return what sorts images by acquisition: number and time of acquisition, then number of the image."""
        image, known = self._images[index], self._attributes(True)[index]
        time = next((known[name] for name in ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime")
                     if name in known), b"")  # fmt: skip
        return image.numbers[0], time, image.numbers[1], str(image.path), image.frame


def _is_even(places: Sequence[int]) -> bool:
    """Return whether sorted places are all different and in equal steps."""
    steps = np.diff(places)
    usual = float(np.median(steps)) if len(steps) else 1.0
    return bool(len(steps) == 0 or (steps.min() > 0 and np.abs(steps - usual).max() <= max(2.0, EVEN * usual)))

"""What is wrong with a collection as a whole: the same images twice, and patients on two sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lowdose.data.pack.index import pixel_hash
from lowdose.image import AIR

SHOWN = 6
Range = tuple[float, float]


@dataclass(frozen=True)
class SeriesSummary:
    """One series of a check. place: folder, file or pack. side: what its folder says it is for.

    mas: lowest and highest. spacing_mm: usual step from slice to slice. pixel_mm: (down the rows, along the columns).
    """

    place: str
    side: str
    patient: int
    case: str | None
    slices: int
    kernel: str | None
    mas: Range | None
    kvp: float | None
    thickness_mm: float | None
    spacing_mm: float | None
    pixel_mm: tuple[float, float] | None
    matrix: tuple[int, int]
    manufacturer: str | None


@dataclass
class ImageHashes:
    """Images seen so far: series (by number) with these pixels; and at one place of one series, the pixels found."""

    pixels: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    places: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, series: int, place: str, pixels: str) -> None:
        """One image of a series: hashes of its place in the body ('' = not known) and of its pixels."""
        self.pixels[pixels].append(series)
        if place:
            self.places[place].setdefault(pixels, series)


def _blank(shape: tuple[int, int]) -> str:
    """The hash of an image of nothing but air, which repeats without being a repeat."""
    return pixel_hash(np.full(shape, AIR, dtype=np.int16))


def duplicates(series: Sequence[SeriesSummary], seen: ImageHashes) -> Iterator[str]:
    """A sentence for every two series that hold the same images: a copied series repeats all of its slices."""
    blank = {_blank(facts.matrix) for facts in series}
    counts: Counter[tuple[int, int]] = Counter()
    for pixels, numbers in seen.pixels.items():
        if len(numbers) > 1 and pixels not in blank:
            counts.update((numbers[0], other) for other in numbers[1:])
    for (one, other), count in counts.items():
        where = f"{series[one].place} and {series[other].place}" if one != other else f"within {series[one].place}"
        yield f"{count} slices have the same pixels: {where}"


def near_duplicates(series: Sequence[SeriesSummary], seen: ImageHashes) -> Iterator[str]:
    """A sentence for every group of series with one UID whose images differ where they should be the same."""
    counts: Counter[tuple[int, ...]] = Counter()
    for found in seen.places.values():
        if len(found) > 1:
            counts[tuple(sorted(set(found.values())))] += 1
    for numbers, count in counts.items():
        where = " and ".join(series[n].place for n in numbers[:SHOWN])
        yield f"{count} slices of one series (by UID) and place, but with other pixels: {where}"


def patients_in_two_subsets(series: Sequence[SeriesSummary]) -> Iterator[str]:
    """A sentence for every patient of whom there are series on several sides."""
    by_patient: dict[int, dict[str, list[SeriesSummary]]] = defaultdict(lambda: defaultdict(list))
    for facts in series:
        by_patient[facts.patient][facts.side].append(facts)
    for patient, sides in by_patient.items():
        if len(sides) > 1:
            name = next((f.case for found in sides.values() for f in found if f.case), None)
            where = "; ".join(f"{side}: {found[0].place}" for side, found in sides.items())
            yield f"patient {patient}{f' ({name})' if name else ''} is on {len(sides)} sides: {where}"

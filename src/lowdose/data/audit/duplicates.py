"""Detection of duplicate images, and of patients in more than one subset of a collection."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lowdose.data.pack.index import pixel_hash
from lowdose.image import AIR
from lowdose.io.messages import counted

SHOWN = 6
"""Number of series that one sentence names."""
Range = tuple[float, float]


@dataclass(frozen=True)
class SeriesSummary:
    """Summary of one series; None = not stated.

    Attributes
    ----------
    place : str
        Its folder, file or pack.
    side : str
        Subset that its folder states: 'train', 'validation' or 'test'; else the path searched.
    patient : int
        Patient number.
    case : str or None
        Public case name in the Mayo collections.
    slices : int
        Number of slices.
    kernel : str or None
        Name of the reconstruction kernel.
    mas : (mAs, mAs) or None
        Lowest and highest effective tube current-time product.
    kvp : kV or None
        Tube voltage.
    thickness_mm : mm or None
        Slice thickness.
    spacing_mm : mm or None
        Median step from slice to slice.
    pixel_mm : (mm, mm) or None
        Pixel size down the rows and along the columns.
    matrix : (int, int)
        Rows and columns.
    manufacturer : str or None
        Manufacturer of the scanner.
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
    """Hashes of the images read so far.

    Attributes
    ----------
    pixels : dict
        Hash of pixels -> numbers of the series of every image with these pixels.
    places : dict
        Hash of series UID and position -> hash of pixels found there -> number of the first such series.
    """

    pixels: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    places: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, series: int, place: str, pixels: str) -> None:
        """Add an image of series number ``series``: hashes of UID and position ('' = unknown), and of its pixels."""
        self.pixels[pixels].append(series)
        if place:
            self.places[place].setdefault(pixels, series)


def _blank_hash(shape: tuple[int, int]) -> str:
    """Return the hash of an image of nothing but air, which does not count as a duplicate."""
    return pixel_hash(np.full(shape, AIR, dtype=np.int16))


def duplicates(series: Sequence[SeriesSummary], seen: ImageHashes) -> Iterator[str]:
    """Yield a sentence for every two series with identical images, and for every series with repeated images."""
    blank = {_blank_hash(summary.matrix) for summary in series}
    counts: Counter[tuple[int, int]] = Counter()
    for pixels, numbers in seen.pixels.items():
        if len(numbers) > 1 and pixels not in blank:
            counts.update((numbers[0], other) for other in numbers[1:])
    for (one, other), count in counts.items():
        where = f"{series[one].place} and {series[other].place}" if one != other else f"within {series[one].place}"
        yield f"the same pixels in {counted(count, 'slice')}: {where}"


def near_duplicates(series: Sequence[SeriesSummary], seen: ImageHashes) -> Iterator[str]:
    """Yield a sentence for every group of series with the same UID whose images differ at the same position."""
    counts: Counter[tuple[int, ...]] = Counter()
    for series_by_pixels in seen.places.values():
        if len(series_by_pixels) > 1:
            counts[tuple(sorted(set(series_by_pixels.values())))] += 1
    for numbers, count in counts.items():
        where = " and ".join(series[n].place for n in numbers[:SHOWN])
        yield f"{counted(count, 'slice')} of one series (by UID) and place, but with other pixels: {where}"


def patients_in_two_subsets(series: Sequence[SeriesSummary]) -> Iterator[str]:
    """Yield a sentence for every patient with series in more than one subset."""
    by_patient: dict[int, dict[str, list[SeriesSummary]]] = defaultdict(lambda: defaultdict(list))
    for summary in series:
        by_patient[summary.patient][summary.side].append(summary)
    for patient, sides in by_patient.items():
        if len(sides) > 1:
            name = next((s.case for summaries in sides.values() for s in summaries if s.case), None)
            where = "; ".join(f"{side}: {summaries[0].place}" for side, summaries in sides.items())
            yield f"patient {patient}{f' ({name})' if name else ''} is on {len(sides)} sides: {where}"

"""Slices of normal dose that have no low-dose partner: what a low-dose partner can be simulated from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lowdose.data.series import Series, all_series
from lowdose.data.store import Pack, is_pack
from lowdose.data.table import SeriesRow, short_hash
from lowdose.errors import NothingToRead
from lowdose.io.dicom.patients import patients
from lowdose.volume import AIR, HU, Slice

SHOWN = 3


@dataclass(frozen=True, slots=True)
class NormalSlice:
    """One slice of normal dose.

    patient: a number, the unit of every split. key: tells this slice from every other, the same in every run.
    pixel_mm: (down the rows, along the columns). thickness_mm, kernel, kvp, mas, manufacturer: as the header states
    them, None = not stated. case: public name in the Mayo collections. read: () -> (y, x) HU, air where the scanner
    stored padding.
    """

    patient: int
    key: str
    pixel_mm: tuple[float, float] | None
    thickness_mm: float | None
    kernel: str | None
    kvp: float | None
    mas: float | None
    manufacturer: str | None
    read: Callable[[], HU]
    case: str | None = None


def normal_slices(stack: ExitStack, roots: Sequence[Path]) -> tuple[list[NormalSlice], list[str]]:
    """(every slice of every CT series below the roots or in packs, what was left out and why).

    Patients are numbered from 1 over all roots together. Unpacked files live as long as ``stack``. Slices that a pack
    holds at low dose only are left out. Raises NothingToRead when nothing is found, IncompatiblePack.
    """
    warnings: list[str] = []
    known: list[Series | SeriesRow] = []
    makers: list[Callable[[int], list[NormalSlice]]] = []
    for root in roots:
        if is_pack(root):
            pack = Pack(root)
            known += pack.series
            makers += [partial(_of_pack, pack, indices) for indices in pack.by_series("full")]
        else:
            for series in all_series(root, warnings, stack):
                known.append(series)
                makers.append(partial(_of_series, series))
    numbers = patients(known)
    found = [item for make, number in zip(makers, numbers, strict=True) for item in make(number + 1)]
    if not found:
        told = f" ({'; '.join(warnings[:SHOWN])})" if warnings else ""
        raise NothingToRead(f"{', '.join(map(str, roots))}: no CT slice of normal dose found{told}")
    return found, warnings


def in_air(part: Slice) -> HU:
    """(y, x) HU with air where the scanner stored padding."""
    return np.where(part.valid, part.hu, AIR)


def _of_series(series: Series, patient: int) -> list[NormalSlice]:
    made, items = series.acquisition, []
    for index, plane in enumerate(series.planes):
        place = f"{index}" if plane.position is None else f"{plane.position:.3f} mm"
        key = short_hash(f"{series.uid or series.place.name} {place}")
        items.append(
            NormalSlice(
                patient,
                key,
                plane.pixel_mm,
                made.thickness_mm,
                made.kernel,
                made.kvp,
                plane.mas,
                made.manufacturer,
                partial(_decode, series, index),
                series.case,
            )
        )
    return items


def _decode(series: Series, index: int) -> HU:
    return in_air(series.read(index))


def _of_pack(pack: Pack, indices: Sequence[int], patient: int) -> list[NormalSlice]:
    """Slices of one series of a pack."""
    items = []
    for index in indices:
        row = pack.slices[index]
        of = pack.series[row.series]
        read = partial(pack.hu, "full", index)
        facts = (row.pixel_mm, of.thickness_mm, of.kernel, of.kvp, row.mas, of.manufacturer)
        items.append(NormalSlice(patient, row.key, *facts, read, of.case))
    return items

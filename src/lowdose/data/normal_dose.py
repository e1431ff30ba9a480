"""Slices of normal dose that have no low-dose partner: what a low-dose partner can be simulated from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lowdose.data.pack.index import SeriesRow, short_hash
from lowdose.data.pack.reader import Pack, is_pack
from lowdose.data.series import Series, iterate_series
from lowdose.data.slice_context import StackPosition, packed_stack_positions, stack_positions
from lowdose.errors import NothingToRead
from lowdose.image import HU
from lowdose.io.dicom.patients import number_patients
from lowdose.io.layouts import dose_of_name

SHOWN = 3


@dataclass(frozen=True, slots=True)
class NormalDoseSlice:
    """One slice of normal dose.

    patient: a number, the unit of every split. key: tells this slice from every other, the same in every run. series:
    names its series, for messages, and tells it from every other. shape: (rows, columns). pixel_mm: (down the rows,
    along the columns). thickness_mm, kernel, kvp, mas, manufacturer: as the header states them, None = not stated.
    case: public name in the Mayo collections. read: () -> (y, x) HU, air where the scanner stored padding. stacked:
    its place among its neighbours.
    """

    patient: int
    key: str
    series: str
    shape: tuple[int, int]
    pixel_mm: tuple[float, float] | None
    thickness_mm: float | None
    kernel: str | None
    kvp: float | None
    mas: float | None
    manufacturer: str | None
    read: Callable[[], HU]
    case: str | None = None
    stack_position: StackPosition | None = None


def normal_dose_slices(stack: ExitStack, roots: Sequence[Path]) -> tuple[list[NormalDoseSlice], list[str]]:
    """(every slice of every CT series below the roots or in packs, what was left out and why).

    Patients are numbered from 1 over all roots together. Unpacked files live as long as ``stack``. Slices that a pack
    holds at low dose only are left out, as are series in folders that are named as low dose. Raises NothingToRead when
    nothing is found, IncompatiblePack.
    """
    warnings: list[str] = []
    known: list[Series | SeriesRow] = []
    makers: list[Callable[[int], list[NormalDoseSlice]]] = []
    for root in roots:
        if is_pack(root):
            pack = Pack(root)
            known += pack.series
            makers += [partial(_of_pack, pack, indices) for indices in pack.by_series("full")]
        else:
            for series in iterate_series(root, warnings, stack):
                if _named_low(series.place, root):
                    warnings.append(f"{series.place}: is low dose by its name (left out)")
                    continue
                known.append(series)
                makers.append(partial(_of_series, series, root))
    numbers = number_patients(known)
    found = _told_apart(item for make, number in zip(makers, numbers, strict=True) for item in make(number + 1))
    if not found:
        told = f" ({'; '.join(warnings[:SHOWN])})" if warnings else ""
        raise NothingToRead(f"{', '.join(map(str, roots))}: no CT slice of normal dose found{told}")
    return found, warnings


def _named_low(place: Path, root: Path) -> bool:
    """Whether the path below the root says so, as that of one half of a pair does: 'quarter_3mm', 'low_dose'."""
    doses = [dose_of_name(Path(part)) for part in place.relative_to(root).parts]
    return any(dose is not None and dose[0] == "low" for dose in doses)


def _told_apart(items: Iterable[NormalDoseSlice]) -> list[NormalDoseSlice]:
    """With keys that differ: repeated scans of one place, and copies, are numbered."""
    seen, told = Counter[str](), []
    for item in items:
        seen[item.key] += 1
        again = seen[item.key]
        told.append(item if again == 1 else replace(item, key=short_hash(f"{item.key} {again}")))
    return told


def _of_series(series: Series, root: Path, patient: int) -> list[NormalDoseSlice]:
    """Files that state no UID are known by where they lie below the root: many archives call every scan 'ct.nii.gz'."""
    made, items = series.acquisition, []
    known_as = series.uid or series.place.relative_to(root.parent if root.is_file() else root).as_posix()
    name = f"{series.place} ({short_hash(known_as)[:6]})"
    places = stack_positions(name, series.planes, made.thickness_mm)
    for index, plane in enumerate(series.planes):
        place = f"{index}" if plane.position is None else f"{plane.position:.3f} mm"
        items.append(
            NormalDoseSlice(
                patient,
                short_hash(f"{known_as} {place}"),
                name,
                plane.shape,
                plane.pixel_mm,
                made.thickness_mm,
                made.kernel,
                made.kvp,
                plane.mas,
                made.manufacturer,
                partial(_decode, series, index),
                series.case,
                places[index],
            )
        )
    return items


def _decode(series: Series, index: int) -> HU:
    return series.read(index).in_air


def _of_pack(pack: Pack, indices: Sequence[int], patient: int) -> list[NormalDoseSlice]:
    """Slices of one series of a pack."""
    items = []
    places = packed_stack_positions(pack, indices)
    for index, place in zip(indices, places, strict=True):
        row = pack.slices[index]
        of = pack.series[row.series]
        read = partial(pack.hu, "full", index)
        name = f"{pack.path} (series {row.series})"
        facts = (row.pixel_mm, of.thickness_mm, of.kernel, of.kvp, row.mas, of.manufacturer)
        items.append(NormalDoseSlice(patient, row.key, name, row.shape, *facts, read, of.case, place))
    return items

"""Normal-dose slices without a low-dose partner, from which a low-dose partner can be simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.data.pack.index import SeriesRow, short_hash
from lowdose.data.pack.reader import Pack, is_pack
from lowdose.data.slice_context import StackPosition, packed_stack_positions, stack_positions
from lowdose.errors import NothingToRead
from lowdose.image import HU
from lowdose.io.dicom.patients import number_patients
from lowdose.io.findings.placement import SeriesSlices, SlicePlace
from lowdose.io.layouts import dose_of_name

if TYPE_CHECKING:
    from lowdose.data.series import Series

SHOWN = 3
"""Number of warnings that an error message quotes."""


@dataclass(frozen=True, slots=True)
class NormalDoseSlice:
    """One slice of normal dose.

    Attributes
    ----------
    patient : int
        Patient number, the unit of every split.
    key : str
        Unique identifier of this slice, the same in every run.
    series : str
        Unique name of the series, used in messages.
    shape : (int, int)
        Rows and columns.
    pixel_mm : (mm, mm) or None
        Pixel size down the rows and along the columns; None = not stated.
    thickness_mm, kernel, kvp, mas, manufacturer
        As the header states them (mm, name, kV, effective mAs, name); None = not stated.
    read : callable
        () -> (y, x) HU, with air where the scanner stored padding.
    case : str or None
        Public case name in the Mayo collections.
    stack_position : StackPosition or None
        Position among the neighbouring slices; None = no neighbours.
    places : tuple of SlicePlace
        The slice itself, by which findings name it; empty for one of a pack.
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
    places: tuple[SlicePlace, ...] = ()


def normal_dose_slices(
    stack: ExitStack, roots: Sequence[Path], any_dose: bool = False
) -> tuple[list[NormalDoseSlice], list[str]]:
    """Find the normal-dose slices of all CT series below the given folders and in the given packs.

    Returns (slices, warnings about what was left out and why). Patients are numbered from 1 over all roots together.
    Unpacked files live as long as ``stack``. Slices that a pack holds at low dose only are left out, as are series in
    folders whose names say low dose; with ``any_dose`` none of them is. Raises NothingToRead when nothing is found, and
    IncompatiblePack.
    """
    warnings: list[str] = []
    known: list[Series | SeriesRow] = []
    makers: list[Callable[[int], list[NormalDoseSlice]]] = []
    for root in roots:
        if is_pack(root):
            pack = Pack(root)
            for dose in ("full", "low") if any_dose else ("full",):
                known += pack.series
                makers += [partial(_pack_slices, pack, dose, indices) for indices in pack.by_series(dose)]
        else:
            from lowdose.data.series import iterate_series  # needs pydicom, which training from a pack does not
            from lowdose.io.orientation import FOR_TRAINING, not_axial

            for series in iterate_series(root, warnings, stack):
                if not any_dose and _named_low(series.place, root):
                    warnings.append(f"{series.place}: is low dose by its name (left out)")
                    continue
                warnings += [f"{series.place}: {text}" for text in not_axial(series.planes, FOR_TRAINING)]
                known.append(series)
                makers.append(partial(_series_slices, series, root))
    numbers = number_patients(known)
    found = _with_unique_keys(item for make, number in zip(makers, numbers, strict=True) for item in make(number + 1))
    if not found:
        details = f" ({'; '.join(warnings[:SHOWN])})" if warnings else ""
        kind = "CT slice" if any_dose else "CT slice of normal dose"
        raise NothingToRead(f"{', '.join(map(str, roots))}: no {kind} found{details}")
    return found, warnings


def _named_low(place: Path, root: Path) -> bool:
    """Check whether a folder name below the root means low dose, as in pairs: 'quarter_3mm', 'low_dose'."""
    doses = [dose_of_name(Path(part)) for part in place.relative_to(root).parts]
    return any(dose is not None and dose[0] == "low" for dose in doses)


def _with_unique_keys(items: Iterable[NormalDoseSlice]) -> list[NormalDoseSlice]:
    """Make all keys unique by numbering repeated scans of one position, and copies."""
    counts, unique = Counter[str](), []
    for item in items:
        counts[item.key] += 1
        count = counts[item.key]
        unique.append(item if count == 1 else replace(item, key=short_hash(f"{item.key} {count}")))
    return unique


def _series_slices(series: Series, root: Path, patient: int) -> list[NormalDoseSlice]:
    """Return the slices of one series.

    Files without a UID are identified by their path below the root, since many archives call every scan 'ct.nii.gz'.
    """
    acquisition, items = series.acquisition, []
    identity = series.uid or series.place.relative_to(root.parent if root.is_file() else root).as_posix()
    name = f"{series.place} ({short_hash(identity)[:6]})"
    positions = stack_positions(name, series.planes, acquisition.thickness_mm)
    slices = SeriesSlices(series.uid, series.planes, series.files)
    for index, plane in enumerate(series.planes):
        place = f"{index}" if plane.position is None else f"{plane.position:.3f} mm"
        items.append(
            NormalDoseSlice(
                patient,
                short_hash(f"{identity} {place}"),
                name,
                plane.shape,
                plane.pixel_mm,
                acquisition.thickness_mm,
                acquisition.kernel,
                acquisition.kvp,
                plane.mas,
                acquisition.manufacturer,
                partial(_decode, series, index),
                series.case,
                positions[index],
                (SlicePlace(slices, index),),
            )
        )
    return items


def _decode(series: Series, index: int) -> HU:
    return series.read(index).in_air


def _pack_slices(pack: Pack, dose: str, indices: Sequence[int], patient: int) -> list[NormalDoseSlice]:
    """Return the slices of one series of a pack at one dose."""
    items = []
    places = packed_stack_positions(pack, indices)
    for index, place in zip(indices, places, strict=True):
        row = pack.slices[index]
        series = pack.series[row.series]
        read = partial(pack.hu, dose, index)
        name = f"{pack.path} (series {row.series})"
        fields = (row.pixel_mm, series.thickness_mm, series.kernel, series.kvp, row.mas, series.manufacturer)
        items.append(NormalDoseSlice(patient, row.key, name, row.shape, *fields, read, series.case, place))
    return items

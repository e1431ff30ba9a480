"""Low-dose and full-dose series of one scan: finding them on disk, and matching their slices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lowdose.errors import GeometryMismatch, NothingToRead
from lowdose.io.dicom.patients import are_strangers, number_patients
from lowdose.io.layouts import FoundPair, PairSearch
from lowdose.io.mayo import case_key, case_of
from lowdose.io.open_series import open_source
from lowdose.io.source import Plane, Source

RECOGNISED = (
    "a pair is a folder or file named quarter, quarter_dose, low, low_dose, ldct, ld or qd beside one named full, "
    "full_dose, normal, normal_dose, high, high_dose, ndct or fd, both with the same suffix if any (low_3mm, "
    "full_3mm); the trees of both Mayo collections are recognised as they are delivered"
)
STRANGERS = "The two series share no patient ID, study, frame of reference or scan time: are they of one patient?"
POSITION_MM = 0.1
POSITION_SHARE = 0.05


def search_pairs(root: Path) -> PairSearch:
    """Every pair of series from ``root`` down, and what was seen and passed over.

    Names may carry a suffix ('full_3mm'); it must be the same on both sides. Raises NothingToRead when there is no
    pair, InvalidSetting when a series has several candidates for its partner.
    """
    if not root.is_dir():
        raise NothingToRead(f"{root}: no such folder; {RECOGNISED}")
    found = PairSearch(root)
    found.run()
    if not found.pairs:
        raise NothingToRead(f"{root}: no pair of series found; {' '.join([RECOGNISED, *found.warnings])}")
    return found


def find_pairs(root: Path) -> list[FoundPair]:
    """The pairs that ``search`` finds."""
    return search_pairs(root).pairs


def pair_slices(low: Source, full: Source) -> list[tuple[int, int]]:
    """(index in low, index in full) of slices at one place, in order.

    Positions agree within 0.1 mm, or 5 % of the slice spacing if that is more. Without any positions (NumPy files)
    series of equal length pair one to one. Raises GeometryMismatch when the grids differ or nothing pairs.
    """
    ours = [plane.position for plane in low.planes]
    theirs = [plane.position for plane in full.planes]
    if not any(position is not None for position in [*ours, *theirs]) and len(ours) == len(theirs):
        pairs = [(i, i) for i in range(len(ours))]
    else:
        pairs = _match(ours, theirs)
    if not pairs:
        where = f"{_extent(ours)}, {_extent(theirs)}"
        raise GeometryMismatch(f"{low.path}, {full.path}: no slice of the two series lies at the same place: {where}")
    try:
        for i, j in pairs:
            check_plane(low.planes[i], full.planes[j])
    except GeometryMismatch as error:
        raise GeometryMismatch(f"{low.path}, {full.path}: {error}") from error
    return pairs


def pairing_warnings(low: Source, full: Source, pairs: list[tuple[int, int]]) -> list[str]:
    """A sentence per side that has slices without a partner, and one when the patients seem to differ."""
    sides = (("low-dose", len(low), {i for i, _ in pairs}), ("full-dose", len(full), {j for _, j in pairs}))
    told = [STRANGERS] if are_strangers(low, full) else []
    return told + [
        f"{count - len(used)} of {count} {name} slices have no partner and are left out."
        for name, count, used in sides
        if len(used) < count
    ]


def _match(ours: list[float | None], theirs: list[float | None]) -> list[tuple[int, int]]:
    """Nearest partners within tolerance, each slice used once."""
    placed = [(position, j) for j, position in enumerate(theirs) if position is not None]
    steps = np.diff(sorted({position for position, _ in placed}))
    tolerance = max(POSITION_MM, POSITION_SHARE * float(steps.min()) if len(steps) else 0.0)
    free = {j: position for position, j in placed}
    pairs = []
    for i, position in enumerate(ours):
        near = [(abs(other - position), j) for j, other in free.items() if position is not None]
        if near and min(near)[0] <= tolerance:
            j = min(near)[1]
            pairs.append((i, j))
            del free[j]
    return pairs


def _extent(positions: list[float | None]) -> str:
    known = [position for position in positions if position is not None]
    return f"{min(known):g} to {max(known):g} mm" if known else "no positions"


def check_plane(low: Plane, full: Plane) -> None:
    """Raises GeometryMismatch naming the values when two slices do not lie on one grid."""
    if low.shape != full.shape:
        raise GeometryMismatch(f"matrix {low.shape} of the low-dose slice, {full.shape} of the full-dose one")
    if low.pixel_mm and full.pixel_mm and not np.allclose(low.pixel_mm, full.pixel_mm, rtol=1e-3, atol=0):
        raise GeometryMismatch(
            f"pixel spacing {low.pixel_mm} mm of the low-dose slice, {full.pixel_mm} of the full one"
        )
    if low.axes and full.axes and not np.allclose(low.axes, full.axes, atol=1e-3):
        raise GeometryMismatch(f"orientation {low.axes} of the low-dose slice, {full.axes} of the full-dose one")
    if low.corner and full.corner and low.axes and low.pixel_mm:
        shift = np.array(low.axes) @ (np.array(low.corner) - np.array(full.corner)) / np.array(low.pixel_mm)
        if np.abs(shift).max() > 0.5:
            raise GeometryMismatch(
                f"the slices are {np.abs(shift).max():.1f} pixels apart in their plane: corners at {low.corner} and "
                f"{full.corner} mm"
            )


@dataclass(frozen=True)
class PairedSeries:
    """One series at two doses, open: which slices belong together, whose they are (a number), what to know of it.

    name: of the folder it was found in, '' where both series were named by the user. case: public name in the Mayo
    collections. patient_keys: of both series (``io.dicom.patients``).
    """

    name: str
    patient: int
    low: Source
    full: Source
    pairs: list[tuple[int, int]]
    warnings: list[str]
    case: str | None = None
    patient_keys: frozenset[str] = frozenset()


def open_pairs(stack: ExitStack, places: Sequence[tuple[str, Path, Path]]) -> list[PairedSeries]:
    """Opens (name, low, full) for as long as ``stack`` lives, pairs their slices and numbers the patients from 1.

    Raises any of the input errors of ``lowdose.errors``.
    """
    result = []
    for name, low_path, full_path in places:
        low, full = stack.enter_context(open_source(low_path)), stack.enter_context(open_source(full_path))
        pairs = pair_slices(low, full)
        warnings = [*low.warnings, *pairing_warnings(low, full, pairs)]
        keys = frozenset(getattr(low, "patient_keys", ())) | frozenset(getattr(full, "patient_keys", ()))
        case = case_of(name, keys)
        keys = keys | {case_key(case)} if case else keys
        result.append(PairedSeries(name, 0, low, full, pairs, warnings, case, keys))
    return [replace(series, patient=number + 1) for series, number in zip(result, number_patients(result), strict=True)]

"""Low-dose and full-dose series of one scan: finding the pairs on disk and matching their slices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lowdose.errors import GeometryMismatch, NothingToRead
from lowdose.io.dicom.grid import position_tolerance
from lowdose.io.dicom.patients import are_strangers, number_patients
from lowdose.io.input_kind import check_folder
from lowdose.io.layouts import FoundPair, PairSearch
from lowdose.io.mayo import case_key, case_of
from lowdose.io.open_series import open_source
from lowdose.io.source import Plane, Source
from lowdose.io.stated_sizes import UNSTATED, Sizes

RECOGNISED = (
    "a pair is a folder or file named quarter, quarter_dose, low, low_dose, ldct, ld or qd beside one named full, "
    "full_dose, normal, normal_dose, high, high_dose, ndct or fd, both with the same suffix if any (low_3mm, "
    "full_3mm); the trees of both Mayo collections are recognised as they are delivered"
)
"""Names that mark the series of a pair, for messages."""
STRANGERS = "The two series share no patient ID, study, frame of reference or scan time: are they of one patient?"


def search_pairs(root: Path) -> PairSearch:
    """Find every pair of series below ``root``, and report the series without a partner.

    Names may carry a suffix ("full_3mm"), which must be the same on both sides. Raises NothingToRead when there is no
    pair, and InvalidSetting when a series has several candidates for its partner.
    """
    check_folder(root, f"pairs of series: {RECOGNISED}")
    search = PairSearch(root)
    search.run()
    if not search.pairs:
        raise NothingToRead(f"{root}: no pair of series found; {' '.join([RECOGNISED, *search.warnings])}")
    return search


def find_pairs(root: Path) -> list[FoundPair]:
    """Return the pairs that ``search_pairs`` finds."""
    return search_pairs(root).pairs


def pair_slices(low: Source, full: Source) -> list[tuple[int, int]]:
    """Return (index in low, index in full) of the slices at the same position, in order.

    Positions may differ by 0.1 mm, or by 5 % of the slice spacing if that is more. Series of equal length without any
    positions (NumPy files) are paired one to one. Raises GeometryMismatch when the grids differ or no slices match.
    """
    low_mm = [plane.position for plane in low.planes]
    full_mm = [plane.position for plane in full.planes]
    if not any(position is not None for position in [*low_mm, *full_mm]) and len(low_mm) == len(full_mm):
        pairs = [(i, i) for i in range(len(low_mm))]
    else:
        pairs = _match_stacks(low, full)
    if not pairs:
        where = f"{_describe_range(low_mm)}, {_describe_range(full_mm)}"
        raise GeometryMismatch(f"{low.path}, {full.path}: no slice of the two series lies at the same place: {where}")
    try:
        for i, j in pairs:
            check_plane(low.planes[i], full.planes[j])
    except GeometryMismatch as error:
        raise GeometryMismatch(f"{low.path}, {full.path}: {error}") from error
    return pairs


def pairing_warnings(low: Source, full: Source, pairs: list[tuple[int, int]]) -> list[str]:
    """Return a warning for each side that has slices without a partner, and one when the patients seem to differ."""
    sides = (("low-dose", len(low), {i for i, _ in pairs}), ("full-dose", len(full), {j for _, j in pairs}))
    messages = [STRANGERS] if are_strangers(low, full) else []
    return messages + [
        f"{count - len(used)} of {count} {name} slices have no partner and are left out."
        for name, count, used in sides
        if len(used) < count
    ]


def _match_stacks(low: Source, full: Source) -> list[tuple[int, int]]:
    """Pair slices by position, stack by stack where both series hold as many (contrast phases, time points)."""
    sides = [[plane.stack for plane in source.planes] for source in (low, full)]
    numbers = sorted(set(sides[0])) if set(sides[0]) == set(sides[1]) else [None]
    pairs = []
    for number in numbers:
        chosen = [[i for i, stack in enumerate(side) if number in (None, stack)] for side in sides]
        found = _match_positions(
            [low.planes[i].position for i in chosen[0]], [full.planes[i].position for i in chosen[1]]
        )
        pairs += [(chosen[0][i], chosen[1][j]) for i, j in found]
    return pairs


def _match_positions(low_mm: list[float | None], full_mm: list[float | None]) -> list[tuple[int, int]]:
    """Pair each slice with the nearest one of the other series within tolerance; each slice is used once."""
    known = [(position, j) for j, position in enumerate(full_mm) if position is not None]
    tolerance = position_tolerance(position for position, _ in known)
    unused = {j: position for position, j in known}
    pairs = []
    for i, position in enumerate(low_mm):
        candidates = [(abs(other - position), j) for j, other in unused.items() if position is not None]
        if candidates and min(candidates)[0] <= tolerance:
            j = min(candidates)[1]
            pairs.append((i, j))
            del unused[j]
    return pairs


def _describe_range(positions: list[float | None]) -> str:
    """Describe the range of positions in words."""
    known = [position for position in positions if position is not None]
    return f"{min(known):g} to {max(known):g} mm" if known else "no positions"


def check_plane(low: Plane, full: Plane) -> None:
    """Raise GeometryMismatch, with the values, when two slices do not lie on the same grid."""
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
    """Open low-dose and full-dose series of one scan.

    Attributes
    ----------
    name : str
        Folder in which the pair was found; empty where the user named both series.
    patient : int
        Number of the patient, from 1.
    low, full : Source
        The two series.
    pairs : list of (int, int)
        Index in ``low`` and index in ``full`` of the slices that belong together.
    warnings : list of str
        What a user must know about the pair.
    case : str or None
        Public name of the case in the Mayo collections.
    patient_keys : frozenset of str
        Hashes that identify the patient of both series (``io.dicom.patients``).
    """

    name: str
    patient: int
    low: Source
    full: Source
    pairs: list[tuple[int, int]]
    warnings: list[str]
    case: str | None = None
    patient_keys: frozenset[str] = frozenset()


def open_pairs(
    stack: ExitStack, places: Sequence[tuple[str, Path, Path]], sizes: Sizes = UNSTATED
) -> list[PairedSeries]:
    """Open each (name, low, full) for as long as ``stack`` lives, pair their slices, and number the patients from 1.

    ``sizes`` are those of series that state none. Raises any of the input errors of ``lowdose.errors``.
    """
    opened = [
        (name, stack.enter_context(open_source(low, sizes=sizes)), stack.enter_context(open_source(full, sizes=sizes)))
        for name, low, full in places
    ]
    return pair_sources(opened)


def pair_sources(sources: Sequence[tuple[str, Source, Source]]) -> list[PairedSeries]:
    """Pair the slices of open series, each (name, low, full), and number the patients from 1.

    Raises GeometryMismatch when two series do not lie on one grid.
    """
    result = []
    for name, low, full in sources:
        pairs = pair_slices(low, full)
        warnings = [*low.warnings, *pairing_warnings(low, full, pairs)]
        keys = frozenset(getattr(low, "patient_keys", ())) | frozenset(getattr(full, "patient_keys", ()))
        case = case_of(name, keys)
        keys = keys | {case_key(case)} if case else keys
        result.append(PairedSeries(name, 0, low, full, pairs, warnings, case, keys))
    return [replace(series, patient=number + 1) for series, number in zip(result, number_patients(result), strict=True)]

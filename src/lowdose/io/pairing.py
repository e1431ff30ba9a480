"""Low-dose and full-dose series of one scan: finding them on disk, and matching their slices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lowdose.errors import GeometryMismatch, InvalidSetting, NothingToRead
from lowdose.io.dicom.patients import patients, strangers
from lowdose.io.open import open_source
from lowdose.io.source import Plane, Source
from lowdose.io.tree import folders

LOW = r"quarter[_-]?dose|quarter|low[_-]?dose|low|ldct|ld|qd"
FULL = r"full[_-]?dose|full|normal[_-]?dose|normal|high[_-]?dose|high|ndct|fd"
ENDINGS = (".nii.gz", ".nii", ".npy", ".npz", ".zip")
RECOGNISED = (
    "a pair is a folder or file named quarter, quarter_dose, low, low_dose, ldct, ld or qd beside one named full, "
    "full_dose, normal, normal_dose, high, high_dose, ndct or fd, both with the same suffix if any (low_3mm, full_3mm)"
)
STRANGERS = "The two series share no patient ID, study, frame of reference or scan time: are they of one patient?"
POSITION_MM = 0.1
POSITION_SHARE = 0.05


@dataclass(frozen=True)
class FoundPair:
    """A low-dose and a full-dose series that lie side by side; name: their folder, and their common suffix."""

    low: Path
    full: Path
    name: str


def find_pairs(root: Path) -> list[FoundPair]:
    """Every folder from ``root`` down that holds a series named as low dose and one named as full dose.

    Names may carry a suffix ('full_3mm'); it must be the same on both sides. Raises NothingToRead when there is no
    pair, InvalidSetting when a series has several candidates for its partner.
    """
    if not root.is_dir():
        raise NothingToRead(f"{root}: no such folder; {RECOGNISED}")
    found = []
    for folder, children, files in folders(root):
        entries = [*children, *(file for file in files if file.name.lower().endswith(ENDINGS))]
        low, full = _by_suffix(LOW, entries), _by_suffix(FULL, entries)
        place = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
        for suffix in (suffix for suffix in low if suffix in full):
            name = f"{place}/{suffix}" if suffix else place
            found.append(FoundPair(_only(low[suffix]), _only(full[suffix]), name))
    if not found:
        raise NothingToRead(f"{root}: no pair of series found; {RECOGNISED}")
    return found


def _by_suffix(names: str, entries: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for entry in entries:
        suffix = _suffix(names, entry)
        if suffix is not None:
            found.setdefault(suffix, []).append(entry)
    return found


def _only(candidates: list[Path]) -> Path:
    if len(candidates) > 1:
        shown = " and ".join(str(path) for path in candidates)
        raise InvalidSetting(f"{shown}: which of them is to be paired? Rename or move away the others")
    return candidates[0]


def _suffix(names: str, entry: Path) -> str | None:
    stem = entry.name.lower()
    for ending in ENDINGS:
        stem = stem.removesuffix(ending)
    match = re.fullmatch(rf"(?:{names})(?:[ _.-](.+))?", stem)
    return (match[1] or "") if match else None


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


def unpaired(low: Source, full: Source, pairs: list[tuple[int, int]]) -> list[str]:
    """A sentence per side that has slices without a partner, and one when the patients seem to differ."""
    sides = (("low-dose", len(low), {i for i, _ in pairs}), ("full-dose", len(full), {j for _, j in pairs}))
    told = [STRANGERS] if strangers(low, full) else []
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

    name: of the folder it was found in, '' where both series were named by the user.
    """

    name: str
    patient: int
    low: Source
    full: Source
    pairs: list[tuple[int, int]]
    warnings: list[str]


def open_pairs(stack: ExitStack, places: Sequence[tuple[str, Path, Path]]) -> list[PairedSeries]:
    """Opens (name, low, full) for as long as ``stack`` lives, pairs their slices and numbers the patients from 1.

    Raises any of the input errors of ``lowdose.errors``.
    """
    opened = [
        (stack.enter_context(open_source(low)), stack.enter_context(open_source(full))) for _, low, full in places
    ]
    result = []
    for (name, _, _), (low, full), patient in zip(places, opened, patients([f for _, f in opened]), strict=True):
        pairs = pair_slices(low, full)
        warnings = [*low.warnings, *unpaired(low, full, pairs)]
        result.append(PairedSeries(name, patient + 1, low, full, pairs, warnings))
    return result

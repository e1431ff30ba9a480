"""Audit of a data collection: its contents, and faults that would spoil training or testing.

These faults are duplicates, patients in two subsets (leaks), and unreadable files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from lowdose.data.audit.duplicates import (
    ImageHashes,
    SeriesSummary,
    duplicates,
    near_duplicates,
    patients_in_two_subsets,
)
from lowdose.data.pack.index import pixel_hash, round_hu, short_hash
from lowdose.data.pack.reader import ROLES, Pack, is_pack
from lowdose.data.series import Series, iterate_series
from lowdose.errors import LowDoseError, NothingToRead
from lowdose.image import Acquisition
from lowdose.io.dicom.patients import number_patients
from lowdose.io.messages import reason
from lowdose.io.source import Plane

SUBSETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Subset by name of a folder, in lower case."""
SHOWN = 3
"""Number of unreadable files that an error message quotes."""


@dataclass
class AuditReport:
    """Result of an audit; all but ``series`` are sentences on what is wrong.

    Attributes
    ----------
    series : list of SeriesSummary
        All series.
    duplicates : list of str
        Series that share slices with identical pixels.
    near_duplicates : list of str
        Series with the same UID and position, but with different pixels.
    leaks : list of str
        Patients in more than one subset.
    unreadable : list of str
        Files that cannot be read, and damaged images of packs.
    """

    series: list[SeriesSummary] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    near_duplicates: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Convert to nested dictionaries and lists, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _PatientKeys:
    """Hashes that identify the patient of a series, as ``number_patients`` expects them."""

    patient_keys: frozenset[str]


def audit_collection(roots: Sequence[Path], advance: Callable[[int], None] = lambda _: None) -> AuditReport:
    """Audit all series below the given folders and in the given packs, reading every slice.

    advance: called with the number of slices read so far. Raises NothingToRead when no CT series is found.
    """
    report, hashes, known, done = AuditReport(), ImageHashes(), list[_PatientKeys](), 0
    for root in roots:
        for summary, keys, slices in _pack_series(root, report) if is_pack(root) else _folder_series(root, report):
            number = len(report.series)
            report.series.append(summary)
            known.append(keys)
            for place, pixels in slices:
                hashes.add(number, place, pixels)
                done += 1
                advance(done)
    if not report.series:
        details = f" ({'; '.join(report.unreadable[:SHOWN])})" if report.unreadable else ""
        raise NothingToRead(f"{', '.join(map(str, roots))}: no CT series found{details}")
    numbers = number_patients(known)
    report.series = [replace(s, patient=n + 1) for s, n in zip(report.series, numbers, strict=True)]
    report.duplicates = list(duplicates(report.series, hashes))
    report.near_duplicates = list(near_duplicates(report.series, hashes))
    report.leaks = list(patients_in_two_subsets(report.series))
    return report


HashedSeries = tuple[SeriesSummary, _PatientKeys, Iterable[tuple[str, str]]]
"""A series, its patient's keys, and (hash of series and position, hash of pixels) of each of its slices."""


def _folder_series(root: Path, report: AuditReport) -> Iterator[HashedSeries]:
    for series in iterate_series(root, report.unreadable):
        summary = _summarise(series.place, _subset(series.place, root), series.case, series.planes, series.acquisition)
        yield summary, _PatientKeys(series.patient_keys), _slice_hashes(series, report)


def _slice_hashes(series: Series, report: AuditReport) -> Iterator[tuple[str, str]]:
    for index, plane in enumerate(series.planes):
        try:
            pixels = pixel_hash(round_hu(series.read(index).in_air))
        except (LowDoseError, OSError) as error:
            report.unreadable.append(str(error) if isinstance(error, LowDoseError) else reason(error))
            continue
        yield _position_hash(short_hash(series.uid) if series.uid else "", plane.position), pixels


def _pack_series(root: Path, report: AuditReport) -> Iterator[HashedSeries]:
    pack = Pack(root)
    report.unreadable += pack.damaged()
    members: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(pack.slices):
        members[row.series].append(index)
    for number, indices in members.items():
        series, rows = pack.series[number], [pack.slices[index] for index in indices]
        planes = [Plane(row.shape, row.pixel_mm, position=row.position, mas=row.mas) for row in rows]
        acquisition = Acquisition(series.kernel, series.thickness_mm, series.kvp, series.manufacturer)
        summary = _summarise(root, _subset(root, root), series.case, planes, acquisition)
        hashes = [(role, row) for row in rows for role in ROLES if getattr(row, role)]
        uids = {"full": series.uid, "low": f"low dose of {series.uid}"}
        slices = [(_position_hash(uids[role], row.position), getattr(row, role)) for role, row in hashes]
        yield summary, _PatientKeys(frozenset(series.patient_keys)), slices


def _position_hash(uid: str, position: float | None) -> str:
    """Return the hash of a series UID and a position; '' where either is unknown."""
    return short_hash(f"{uid} {position:.2f}") if uid and position is not None else ""


def _summarise(
    place: Path, side: str, case: str | None, planes: Sequence[Plane], acquisition: Acquisition
) -> SeriesSummary:
    mas_values = [plane.mas for plane in planes if plane.mas is not None]
    positions = sorted({round(p.position, 3) for p in planes if p.position is not None})
    steps = np.diff(positions)
    (shape, _), *_ = Counter(plane.shape for plane in planes).most_common(1)
    return SeriesSummary(
        str(place),
        side,
        0,
        case,
        len(planes),
        acquisition.kernel,
        (min(mas_values), max(mas_values)) if mas_values else None,
        acquisition.kvp,
        acquisition.thickness_mm,
        round(float(np.median(steps)), 3) if len(steps) else None,
        planes[0].pixel_mm,
        shape,
        acquisition.manufacturer,
    )


def _subset(place: Path, root: Path) -> str:
    """Return the subset that a path states by a folder named train, val or test at or below the root; else the root."""
    parts = [part.lower() for part in ((root.name, *place.relative_to(root).parts) if place != root else (root.stem,))]
    return next((SUBSETS[part] for part in reversed(parts) if part in SUBSETS), str(root))

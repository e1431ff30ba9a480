"""What a collection of data is made of, and what would spoil a training or a test: repeats, leaks, unreadable files."""

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

SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SHOWN = 3


@dataclass
class AuditReport:
    """All series, and sentences on what is wrong with them; the pixels of ``duplicates`` are the same."""

    series: list[SeriesSummary] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    near_duplicates: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class _Keys:
    patient_keys: frozenset[str]


def audit_collection(roots: Sequence[Path], advance: Callable[[int], None] = lambda _: None) -> AuditReport:
    """Reads every slice below the roots, and of packs; advance gets the number so far. Raises NothingToRead."""
    result, seen, known, done = AuditReport(), ImageHashes(), list[_Keys](), 0
    for root in roots:
        for facts, keys, slices in _of_pack(root, result) if is_pack(root) else _of_tree(root, result):
            number = len(result.series)
            result.series.append(facts)
            known.append(keys)
            for place, pixels in slices:
                seen.add(number, place, pixels)
                done += 1
                advance(done)
    if not result.series:
        told = f" ({'; '.join(result.unreadable[:SHOWN])})" if result.unreadable else ""
        raise NothingToRead(f"{', '.join(map(str, roots))}: no CT series found{told}")
    numbers = number_patients(known)
    result.series = [replace(s, patient=n + 1) for s, n in zip(result.series, numbers, strict=True)]
    result.duplicates = list(duplicates(result.series, seen))
    result.near_duplicates = list(near_duplicates(result.series, seen))
    result.leaks = list(patients_in_two_subsets(result.series))
    return result


Found = tuple[SeriesSummary, _Keys, Iterable[tuple[str, str]]]
"""A series, whose it is, and (hash of its place in the world, hash of its pixels) of each of its slices."""


def _of_tree(root: Path, result: AuditReport) -> Iterator[Found]:
    for series in iterate_series(root, result.unreadable):
        facts = _facts(series.place, _side(series.place, root), series.case, series.planes, series.acquisition)
        yield facts, _Keys(series.patient_keys), _slices(series, result)


def _slices(series: Series, result: AuditReport) -> Iterator[tuple[str, str]]:
    for index, plane in enumerate(series.planes):
        try:
            pixels = pixel_hash(round_hu(series.read(index).in_air))
        except (LowDoseError, OSError) as error:
            result.unreadable.append(str(error) if isinstance(error, LowDoseError) else reason(error))
            continue
        yield _place(short_hash(series.uid) if series.uid else "", plane.position), pixels


def _of_pack(root: Path, result: AuditReport) -> Iterator[Found]:
    pack = Pack(root)
    result.unreadable += pack.damaged()
    members: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(pack.slices):
        members[row.series].append(index)
    for number, indices in members.items():
        of, rows = pack.series[number], [pack.slices[index] for index in indices]
        planes = [Plane(row.shape, row.pixel_mm, position=row.position, mas=row.mas) for row in rows]
        made = Acquisition(of.kernel, of.thickness_mm, of.kvp, of.manufacturer)
        facts = _facts(root, _side(root, root), of.case, planes, made)
        hashes = [(role, row) for row in rows for role in ROLES if getattr(row, role)]
        named = {"full": of.uid, "low": f"low dose of {of.uid}"}
        slices = [(_place(named[role], row.position), getattr(row, role)) for role, row in hashes]
        yield facts, _Keys(frozenset(of.patient_keys)), slices


def _place(uid: str, position: float | None) -> str:
    """Hash of a series and a position; '' where either is not known."""
    return short_hash(f"{uid} {position:.2f}") if uid and position is not None else ""


def _facts(place: Path, side: str, case: str | None, planes: Sequence[Plane], made: Acquisition) -> SeriesSummary:
    known = [plane.mas for plane in planes if plane.mas is not None]
    positions = sorted({round(p.position, 3) for p in planes if p.position is not None})
    steps = np.diff(positions)
    (shape, _), *_ = Counter(plane.shape for plane in planes).most_common(1)
    return SeriesSummary(
        str(place),
        side,
        0,
        case,
        len(planes),
        made.kernel,
        (min(known), max(known)) if known else None,
        made.kvp,
        made.thickness_mm,
        round(float(np.median(steps)), 3) if len(steps) else None,
        planes[0].pixel_mm,
        shape,
        made.manufacturer,
    )


def _side(place: Path, root: Path) -> str:
    """What a path says the data are for: a folder named train, val or test below the root, else the root itself."""
    parts = [part.lower() for part in ((root.name, *place.relative_to(root).parts) if place != root else (root.stem,))]
    return next((SIDES[part] for part in reversed(parts) if part in SIDES), str(root))

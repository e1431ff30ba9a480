"""Findings in the slices of several patients, each slice at one dose or two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.io.findings.finding import Finding, Findings, LeftOut, Part, SliceName
from lowdose.io.findings.placement import SeriesSlices, SlicePlace, called, place_findings

Parts = Mapping[int, Sequence[Part]]
"""Parts of one finding by number of the slice."""
SHOWN = 3
"""Number of files, series or patients that a message names."""


class PatientSlice(NamedTuple):
    """A slice of a patient.

    Attributes
    ----------
    patient : int
        Number of the patient.
    places : tuple of SlicePlace
        The same slice at each dose, full dose first.
    """

    patient: int
    places: tuple[SlicePlace, ...]


@dataclass(frozen=True)
class _NumberedSeries:
    """A series of a patient, and the numbers of the slices that are made of each of its own."""

    patient: int
    slices: SeriesSlices
    numbers: dict[int, list[int]]


class PatientSlices:
    """Slices in which findings are looked for."""

    def __init__(self, slices: Sequence[PatientSlice]) -> None:
        self._slices = slices
        self._sides: list[dict[int, _NumberedSeries]] = []
        for number, slice_ in enumerate(slices):
            for side, place in enumerate(slice_.places):
                if side == len(self._sides):
                    self._sides.append({})
                series = self._sides[side].setdefault(
                    id(place.series), _NumberedSeries(slice_.patient, place.series, defaultdict(list))
                )
                series.numbers[place.index].append(number)
        self._named: list[dict[str, list[_NumberedSeries]]] = [defaultdict(list) for _ in self._sides]
        for members, named in zip(self._sides, self._named, strict=True):
            for series in members.values():
                for name in series.slices.names:
                    named[name].append(series)

    def place(self, found: Findings) -> tuple[list[tuple[Finding, Parts]], list[LeftOut]]:
        """Return the findings that lie in the slices, with their parts in each, and what was left out.

        A finding lies in a slice when it lies in it at either dose, first at full dose. Raises InvalidSetting when none
        lies in a slice, and when a mask or file name fits slices of several patients; GeometryMismatch when a slice has
        other pixels than a finding says.
        """
        placed = [(finding, self._parts(finding)) for finding in found.findings]
        missing = [finding for finding, parts in placed if not parts]
        if len(missing) == len(placed):
            raise InvalidSetting(self._nowhere(found))
        nowhere = f"{len(missing)} of {len(placed)} findings lie in no slice of the data"
        left_out = [*found.left_out, *[LeftOut(found.path, nowhere)] * bool(missing)]
        return [(finding, parts) for finding, parts in placed if parts], left_out

    def _parts(self, finding: Finding) -> Parts:
        """Return the parts of a finding, by number of the slice."""
        for side in range(len(self._sides)):
            found: dict[int, dict[int, list[Part]]] = {}
            unfit: dict[int, GeometryMismatch] = {}
            for series in self._candidates(finding, side):
                try:
                    placed = place_findings([finding], series.slices)
                except GeometryMismatch as error:  # of another patient, perhaps, whose files have the same names
                    unfit[series.patient] = error
                    continue
                for index, part in (part for one in placed for part in one.parts):
                    for number in series.numbers.get(index, []):
                        found.setdefault(series.patient, {}).setdefault(number, []).append(part)
            patients = self._own_patients(finding, {*found, *unfit})
            for patient in patients & unfit.keys():
                raise unfit[patient]
            if patients:
                return {number: parts for patient in patients for number, parts in found[patient].items()}
        return {}

    def _candidates(self, finding: Finding, side: int) -> Iterable[_NumberedSeries]:
        """Return the series that a finding can lie in: those with a slice that it calls by name, or all."""
        names = {called(mark.slice) for mark in finding.marks}
        if None in names:
            return self._sides[side].values()
        named = self._named[side]
        return {id(series): series for name in names if name for series in named.get(name, [])}.values()

    def _own_patients(self, finding: Finding, patients: set[int]) -> set[int]:
        """Return the patient whose files are called like the findings, where it fits slices of several patients.

        A UID is of one image, but names of files and places repeat.
        """
        if len(patients) <= 1 or all(mark.slice.sop_uid for mark in finding.marks):
            return patients
        names = {patient: self._names[patient] for patient in patients}
        alike = [patient for patient in patients if _alike(finding.path, names[patient] - _others(names, patient))]
        if len(alike) != 1:
            shown = ", ".join(sorted(str(self._path(patient)) for patient in patients)[:SHOWN])
            raise InvalidSetting(
                f"--findings {finding.path}: fits slices of {len(patients)} patients ({shown}), since it states "
                "no UID; name it, or the folder it lies in, like the file or folder of its patient"
            )
        return {alike[0]}

    def _path(self, patient: int) -> Path:
        place = next(each for each in self._slices if each.patient == patient).places[0]
        return place.series.files[place.index].path

    @cached_property
    def _names(self) -> dict[int, set[str]]:
        """The names of the files and folders of each patient, without endings."""
        paths: dict[int, set[Path]] = defaultdict(set)
        for each in self._slices:
            paths[each.patient].update(place.series.files[place.index].path for place in each.places)
        return {
            patient: {name for path in own for name in (*path.parts[:-1], path.name.partition(".")[0])}
            for patient, own in paths.items()
        }

    def _nowhere(self, found: Findings) -> str:
        """Return the message for findings that lie in no slice, with what both sides are called."""
        named = Counter(_said(mark.slice) for finding in found.findings for mark in finding.marks)
        stated = ", ".join(text for text, _ in named.most_common(SHOWN))
        places = [place for each in self._slices for place in each.places]
        series = list({place.series.series_uid: None for place in places if place.series.series_uid})[:SHOWN]
        files = [place.series.files[place.index].path.name for place in places[:SHOWN]]
        by_file = not series or any(mark.slice.file for finding in found.findings for mark in finding.marks)
        own = "files " + ", ".join(files) if by_file else "series " + ", ".join(series)
        return (
            f"--findings {found.path}: none of its {len(found.findings)} findings lies in a slice of the data; it "
            f"names {stated}; the data have {own}; give the scans that it was made for, in folders and files of their "
            "own names"
        )


def _others(names: Mapping[int, set[str]], patient: int) -> set[str]:
    return {name for other, own in names.items() if other != patient for name in own}


def _alike(path: Path, names: set[str]) -> bool:
    """Return whether a file of findings, or a folder above it, is called like one of the names, or begins so."""
    own = [*path.parts[:-1], path.name.partition(".")[0]]
    return any(part == name or part.startswith((f"{name}_", f"{name}-")) for part in own for name in names if name)


def _said(name: SliceName) -> str:
    """Return in words what a file of findings says of a slice."""
    if name.sop_uid:
        return f"the image {name.sop_uid}"
    if name.file:
        return f"the file {name.file}"
    if name.series_uid:
        return f"the series {name.series_uid}"
    shape = f"{name.plane.shape[0]} x {name.plane.shape[1]}" if name.plane else "unknown"
    return f"a volume of {name.count} slices of {shape} pixels"

"""Boxes of annotated findings on the slices of a training set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lowdose.boxes import Box
from lowdose.data.pairs import PairedSlice
from lowdose.errors import InvalidSetting
from lowdose.io.findings.finding import Finding, Findings, SliceName
from lowdose.io.findings.placement import SeriesSlices, called, place_findings

Boxes = Mapping[int, Sequence[Box]]
"""Boxes of one finding by number of the item."""
SHOWN = 3
"""Number of files, series or patients that a message names."""


def with_findings(
    items: Sequence[PairedSlice], files: Mapping[Path, Findings]
) -> tuple[list[PairedSlice], tuple[str, ...], list[str]]:
    """Give slices the boxes of findings, by the file or folder that they were read from.

    Returns (slices with boxes; what the labels of the boxes mean, from 1; warnings). A finding lies in a pair when it
    lies in either of its series, first the full-dose one. Raises InvalidSetting when slices come from a pack, which
    does not say which files they were, when no finding of a file lies in the data, and when a mask or file name fits
    slices of several patients; and GeometryMismatch when a slice has other pixels than a finding says.
    """
    if any(not item.places for item in items):
        raise InvalidSetting(
            "--findings: packs do not say which files their slices come from, so findings cannot be placed in them; "
            "give the folders that were packed with --data"
        )
    placement = _Placement(items)
    boxes: dict[int, list[tuple[Box, str]]] = defaultdict(list)
    warnings: list[str] = []
    for path, found in files.items():
        placed = [(finding, placement.of(finding)) for finding in found.findings]
        missing = [finding for finding, there in placed if not there]
        if len(missing) == len(placed):
            raise InvalidSetting(_nowhere(path, missing, items))
        warnings += found.warnings
        if missing:
            warnings.append(f"{path}: {len(missing)} of {len(placed)} findings lie in no slice of the data (left out)")
        for finding, there in placed:
            for index, own in there.items():
                boxes[index] += [(box, finding.label) for box in own]
    labels = tuple(sorted({label for own in boxes.values() for _, label in own}))
    numbers = {label: number for number, label in enumerate(labels, 1)}
    marked = [
        replace(item, boxes=(*item.boxes, *((box, numbers[label]) for box, label in boxes[index])))
        if index in boxes
        else item
        for index, item in enumerate(items)
    ]
    return marked, labels, warnings


@dataclass(frozen=True)
class _SeriesItems:
    """A series, and the numbers of the items that are made of each of its slices."""

    slices: SeriesSlices
    numbers: dict[int, list[int]]


class _Placement:
    """Places findings in the items of a training set."""

    def __init__(self, items: Sequence[PairedSlice]) -> None:
        self._items = items
        self._sides: list[dict[int, _SeriesItems]] = []
        for number, item in enumerate(items):
            for side, place in enumerate(item.places):
                if side == len(self._sides):
                    self._sides.append({})
                series = self._sides[side].setdefault(id(place.series), _SeriesItems(place.series, defaultdict(list)))
                series.numbers[place.index].append(number)
        self._named: list[dict[str, list[_SeriesItems]]] = [defaultdict(list) for _ in self._sides]
        for members, named in zip(self._sides, self._named, strict=True):
            for series in members.values():
                for name in series.slices.names:
                    named[name].append(series)

    def of(self, finding: Finding) -> Boxes:
        """Return the boxes of a finding, by number of the item."""
        for side in range(len(self._sides)):
            boxes: dict[int, list[Box]] = defaultdict(list)
            for series in self._candidates(finding, side):
                for placed in place_findings([finding], series.slices):
                    for index, part in placed.parts:
                        for number in series.numbers.get(index, []):
                            boxes[number].append(part.box)
            if boxes:
                return self._of_one_patient(finding, boxes)
        return {}

    def _candidates(self, finding: Finding, side: int) -> Iterable[_SeriesItems]:
        """Return the series that a finding can lie in: those with a slice that it calls by name, or all."""
        names = {called(mark.slice) for mark in finding.marks}
        if None in names:
            return self._sides[side].values()
        named = self._named[side]
        return {id(series): series for name in names if name for series in named.get(name, [])}.values()

    def _of_one_patient(self, finding: Finding, boxes: Boxes) -> Boxes:
        """Return the boxes of the patient whose files are called like the findings, where several patients have some.

        A UID is of one image, but names of files and places repeat.
        """
        patients = {self._items[number].patient for number in boxes}
        if len(patients) == 1 or all(mark.slice.sop_uid for mark in finding.marks):
            return boxes
        names = {patient: self._names(patient) for patient in patients}
        alike = [patient for patient in patients if _alike(finding.path, names[patient] - _others(names, patient))]
        if len(alike) != 1:
            shown = ", ".join(sorted(str(self._path(patient)) for patient in patients)[:SHOWN])
            raise InvalidSetting(
                f"--findings {finding.path}: fits slices of {len(patients)} patients ({shown}), since it states "
                "no UID; name it, or the folder it lies in, like the file or folder of its patient"
            )
        return {number: own for number, own in boxes.items() if self._items[number].patient == alike[0]}

    def _path(self, patient: int) -> Path:
        place = next(item for item in self._items if item.patient == patient).places[0]
        return place.series.files[place.index].path

    def _names(self, patient: int) -> set[str]:
        """Return the names of the files and folders of a patient, without endings."""
        paths = {
            place.series.files[place.index].path
            for item in self._items
            if item.patient == patient
            for place in item.places
        }
        return {name for path in paths for name in (*path.parts[:-1], path.name.partition(".")[0])}


def _others(names: Mapping[int, set[str]], patient: int) -> set[str]:
    return {name for other, own in names.items() if other != patient for name in own}


def _alike(path: Path, names: set[str]) -> bool:
    """Return whether a file of findings, or a folder above it, is called like one of the names, or begins so."""
    own = [*path.parts[:-1], path.name.partition(".")[0]]
    return any(part == name or part.startswith((f"{name}_", f"{name}-")) for part in own for name in names if name)


def _nowhere(path: Path, findings: Sequence[Finding], items: Sequence[PairedSlice]) -> str:
    """Return the message for findings that lie in no slice, with what both sides are called."""
    named = Counter(_said(mark.slice) for finding in findings for mark in finding.marks)
    stated = ", ".join(text for text, _ in named.most_common(SHOWN))
    places = [place for item in items for place in item.places]
    series = list({place.series.series_uid: None for place in places if place.series.series_uid})[:SHOWN]
    files = [place.series.files[place.index].path.name for place in places[:SHOWN]]
    return (
        f"--findings {path}: none of its {len(findings)} findings lies in a slice of the data; it names {stated}; the "
        f"data have {'series ' + ', '.join(series) if series else 'files ' + ', '.join(files)}; give the scans that it "
        "was made for with --data, in folders and files of their own names"
    )


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

"""Which slices and pixels of a series its findings lie in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath, PurePosixPath

import numpy as np

from lowdose.errors import GeometryMismatch
from lowdose.io.dicom.grid import position_tolerance, slice_normal
from lowdose.io.findings.finding import Finding, PlacedFinding, SliceName
from lowdose.io.findings.regions import Points, has_place, to_mm, to_pixels
from lowdose.io.source import Plane, SliceFile, Source, files_of

LEAST_COSINE = 0.999
"""Least cosine of the angle between the normals of slices that are the same."""
RANGE = re.compile(r"(.+)_(\d+)-(\d+)")
"""Name of a file that holds a range of slices, as DeepLesion's: 000001_01_01_103-115."""
ENDINGS = (".nii.gz", ".dcm.gz", ".ima.gz")
"""Endings of file names with two dots."""


@dataclass(frozen=True)
class SeriesSlices:
    """Slices of a series, as findings name them.

    Attributes
    ----------
    series_uid : str
        SeriesInstanceUID; empty for formats without one.
    planes : sequence of Plane
        Where each slice lies.
    files : sequence of SliceFile
        Where each slice is stored.
    """

    series_uid: str
    planes: Sequence[Plane]
    files: Sequence[SliceFile]

    def find(self, name: SliceName) -> list[int]:
        """Return the indices of the slices that a file of findings names; stacks may have several at one place."""
        if name.sop_uid:
            found = self._by_uid.get(name.sop_uid, [])
            return [index for index in found if name.frame is None or self.files[index].frame == name.frame]
        if name.file:
            return self._of_file(name.file)
        if name.series_uid and name.series_uid != self.series_uid:
            return []
        if name.plane is not None and name.plane.corner is not None and self._places is not None:
            return self._at_place(name.plane, same_grid=not name.series_uid)
        return [name.index] if name.index is not None and self._fits_stack(name) else []

    @cached_property
    def names(self) -> frozenset[str]:
        """The names and UIDs by which slices of the series may be called, as ``called`` returns them."""
        return frozenset(self._by_uid) | frozenset(self._by_name)

    def _fits_stack(self, name: SliceName) -> bool:
        return name.count == len(self.planes) and name.plane is not None and name.plane.shape == self.planes[0].shape

    @cached_property
    def _by_uid(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for index, file in enumerate(self.files):
            found[file.sop_uid].append(index)
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        several = {file.path for file in self.files if file.frame > 0}
        for index, file in enumerate(self.files):
            for name in _names(file, file.path in several):
                found[name].append(index)
        return found

    def _of_file(self, name: str) -> list[int]:
        """Return the slices in a file of this name; folders that it states must be those of the slice."""
        stated = _stated_path(name)
        folders = [part for part in stated.parts[:-1] if part not in (".", "/")]
        found = self._by_name.get(_stem(stated), [])
        wanted = [[part.lower() for part in self.files[index].path.parts[:-1]] for index in found]
        exact = [
            index for index, parts in zip(found, wanted, strict=True) if parts[len(parts) - len(folders) :] == folders
        ]
        return exact if folders else found

    @cached_property
    def _places(self) -> Points | None:
        """Position of each slice along the normal of the first, mm; None where some slice states none."""
        if not all(has_place(plane) for plane in self.planes):
            return None
        return np.array([plane.corner for plane in self.planes]) @ self._normal

    @cached_property
    def _normal(self) -> Points:
        axes = self.planes[0].axes
        assert axes is not None
        return np.array(slice_normal(axes))

    def _at_place(self, plane: Plane, same_grid: bool) -> list[int]:
        assert self._places is not None
        if plane.axes is not None and abs(np.dot(slice_normal(plane.axes), self._normal)) < LEAST_COSINE:
            return []
        away = np.abs(self._places - np.dot(plane.corner or (), self._normal))
        if away.min() > position_tolerance(self._places):
            return []
        found = [int(index) for index in np.flatnonzero(away <= away.min() + 1e-3)]
        return [index for index in found if not same_grid or _same_pixels(plane, self.planes[index])]


@dataclass(frozen=True)
class SlicePlace:
    """One slice of a series.

    Attributes
    ----------
    series : SeriesSlices
        The series.
    index : int
        Number of the slice in it.
    """

    series: SeriesSlices
    index: int


def series_slices(source: Source) -> SeriesSlices:
    """Return the slices of an open series."""
    return SeriesSlices(str(source.uids.get("series", "")), source.planes, files_of(source))


def place_findings(findings: Sequence[Finding], slices: SeriesSlices) -> list[PlacedFinding]:
    """Return those of the findings that lie in a series, in its slices and pixels.

    What is marked on slices that the series lacks is left out. Raises GeometryMismatch, naming the file, when a slice
    that it names has other pixels than it says.
    """
    placed = []
    for finding in findings:
        try:
            parts = [
                (index, part)
                for mark in finding.marks
                for index in slices.find(mark.slice)
                for part in mark.region.on(slices.planes[index])
            ]
        except GeometryMismatch as error:
            raise GeometryMismatch(f"{finding.path}: {error}") from error
        if parts:
            placed.append(PlacedFinding(finding.label, sorted(parts, key=lambda part: part[0])))
    return placed


def called(name: SliceName) -> str | None:
    """Return the UID or the name of the file by which a slice is called; None = by its place only."""
    return name.sop_uid or (_stem(_stated_path(name.file)) if name.file else None)


def _stated_path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/").lower())


def _names(file: SliceFile, several: bool) -> set[str]:
    """Return the names under which a slice may be called, in small letters and without folders and ending.

    The images of several slices in one file have no name of their own, except in a file named after its slices.
    """
    stem = _stem(PurePosixPath(file.path.name.lower()))
    names = {file.sop_uid.lower()} - {""}
    named_range = RANGE.fullmatch(stem)
    if named_range is not None:
        number = int(named_range[2]) + file.frame
        names.add(f"{named_range[1]}_{number:03d}")
    if not several:
        names |= {stem, f"{file.path.parent.name.lower()}_{stem}"}
    return names


def _stem(path: PurePath) -> str:
    """Return a file's name without its ending; numbers after a dot, as in a UID, are no ending."""
    name = path.name
    double = next((ending for ending in ENDINGS if name.endswith(ending)), None)
    if double is not None:
        return name[: -len(double)]
    return name if path.suffix[1:].isdigit() else path.stem


def _same_pixels(one: Plane, other: Plane) -> bool:
    """Return whether two slices at one position have the same pixels, in whatever order they are stored."""
    if not (has_place(one) and has_place(other)):
        return one.shape == other.shape
    ends = [np.array([(i, j) for i in (0, rows - 1) for j in (0, columns - 1)]) for rows, columns in
            (one.shape, other.shape)]  # fmt: skip
    there = to_pixels(other, to_mm(one, ends[0]))
    apart = np.abs(there[:, None] - ends[1][None]).max(axis=2)
    return bool((apart.min(axis=1) < 0.5).all() and (apart.min(axis=0) < 0.5).all())

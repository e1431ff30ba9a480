"""Findings in radiotherapy structure sets: every structure is one finding, unless it says that it is none."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from lowdose.errors import CannotDecode
from lowdose.image import Vector
from lowdose.io.findings.finding import Finding, Findings, LeftOut, Mark, SliceName
from lowdose.io.findings.regions import Outlines, Points
from lowdose.io.source import Plane

LESIONS = {"", "GTV"}
"""Types of structures that are lesions: gross tumour volumes, and those that state no type."""
CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
"""Types of contours that enclose something."""


def contour_findings(path: Path, dataset: Any) -> Findings:
    """Read the structures of a structure set, whose closed contours are outlines in the patient.

    Structures whose type is stated and is no gross tumour volume (organs, the body, treatment volumes) are left out, as
    are contours that enclose nothing. Raises CannotDecode for contours that are no list of points.
    """
    names = {int(item.ROINumber): str(item.get("ROIName", "")) for item in dataset.get("StructureSetROISequence") or []}
    types = {
        int(item.ReferencedROINumber): str(item.get("RTROIInterpretedType", "") or "").upper()
        for item in dataset.get("RTROIObservationsSequence") or []
    }
    series, findings, left_out = _series_uid(dataset), list[Finding](), list[LeftOut]()
    for roi in dataset.get("ROIContourSequence") or []:
        number = int(roi.ReferencedROINumber)
        label, kind = names.get(number) or str(number), types.get(number, "")
        if kind not in LESIONS:
            left_out.append(LeftOut(path, f"structure '{label}' is of type {kind}"))
            continue
        marks, open_ones = _marks(path, label, roi, series)
        if open_ones:
            left_out.append(LeftOut(path, f"structure '{label}' has {open_ones} contours that enclose nothing"))
        if marks:
            findings.append(Finding(label, marks, path))
    return Findings(path, findings, left_out)


def _series_uid(dataset: Any) -> str:
    """Return the series that the structures were drawn on, where it is one."""
    found = {
        str(series.SeriesInstanceUID)
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
    }
    return found.pop() if len(found) == 1 else ""


def _marks(path: Path, label: str, roi: Any, series: str) -> tuple[tuple[Mark, ...], int]:
    """Return what a structure encloses in each slice, and how many of its contours enclose nothing."""
    slices: dict[SliceName, list[Points]] = defaultdict(list)
    open_ones = 0
    for contour in roi.get("ContourSequence") or []:
        points = _points(path, label, contour)
        if str(contour.get("ContourGeometricType", "CLOSED_PLANAR")) not in CLOSED or len(points) < 3:
            open_ones += 1
            continue
        slices[_slice_name(path, label, contour, series, points)].append(points)
    return tuple(Mark(name, Outlines(tuple(outlines))) for name, outlines in slices.items()), open_ones


def _points(path: Path, label: str, contour: Any) -> Points:
    values = contour.get("ContourData") or []
    values = [values] if isinstance(values, float | int | str) else values
    points = np.array([float(value) for value in values])
    if len(points) % 3 or not np.isfinite(points).all():
        raise CannotDecode(
            f"{path}: a contour of structure '{label}' has {len(points)} numbers, which are no points of x, y and z; "
            "export it again"
        )
    return points.reshape(-1, 3)


def _slice_name(path: Path, label: str, contour: Any, series: str, points: Points) -> SliceName:
    """Return the image that a contour names; where it names none, its place in the series."""
    images = contour.get("ContourImageSequence") or []
    if images:
        frame = images[0].get("ReferencedFrameNumber")
        return SliceName(str(images[0].ReferencedSOPInstanceUID), None if frame is None else int(frame) - 1)
    if not series:
        raise CannotDecode(
            f"{path}: structure '{label}' names neither its images nor one series; export it with references"
        )
    return SliceName(series_uid=series, plane=Plane((0, 0), corner=_point_of_plane(points)))


def _point_of_plane(points: Points) -> Vector:
    """Return the point of the plane of an outline that is nearest to the origin, the same for all its outlines."""
    around = points - points.mean(axis=0)
    normal = np.cross(around, np.roll(around, -1, axis=0)).sum(axis=0)
    normal /= max(float(np.linalg.norm(normal)), 1e-12)
    x, y, z = (float(value) for value in np.round(normal * (points.mean(axis=0) @ normal), 2))
    return x, y, z

"""Radiotherapy structure sets: outlines in the patient, in the pixels of the series that they were drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import RTStructureSetStorage, generate_uid

from lowdose.errors import CannotDecode, NothingToRead
from lowdose.io.findings.placement import place_findings, series_slices
from lowdose.io.findings.reading import read_findings
from lowdose.io.open_series import open_source
from support.synthetic_dicom import make_series, save

CORNER, PIXEL = -20.0, 0.7
"""Centre of the first pixel and size of the pixels of the series of ``make_series``, mm."""
Contour = tuple[str | None, str, list[float]]
"""SOPInstanceUID, type, and numbers."""


def rectangle(top: float, left: float, bottom: float, right: float, z: float) -> list[float]:
    """Return the corners of edges in pixels, mm: the edge 0 lies half a pixel before the centre of the first pixel."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [value for x, y in corners for value in (CORNER + (x - 0.5) * PIXEL, CORNER + (y - 0.5) * PIXEL, z)]


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def write(path: Path, structures: Sequence[tuple[str, str, Sequence[Contour]]], series: str | None = None) -> Path:
    """Write structures: name, type and contours."""
    dataset = item(
        SOPClassUID=RTStructureSetStorage, SOPInstanceUID=generate_uid(), Modality="RTSTRUCT",
        StructureSetROISequence=[item(ROINumber=n, ROIName=name) for n, (name, _, _) in enumerate(structures)],
        RTROIObservationsSequence=[
            item(ReferencedROINumber=n, RTROIInterpretedType=kind) for n, (_, kind, _) in enumerate(structures)
        ],
        ROIContourSequence=[
            item(ReferencedROINumber=n, ContourSequence=[_contour(*contour) for contour in contours])
            for n, (_, _, contours) in enumerate(structures)
        ],
    )  # fmt: skip
    if series:
        study = item(RTReferencedSeriesSequence=[item(SeriesInstanceUID=series)])
        dataset.ReferencedFrameOfReferenceSequence = [item(RTReferencedStudySequence=[study])]
    return save(dataset, path)


def _contour(uid: str | None, kind: str, numbers: list[float]) -> Dataset:
    contour = item(ContourGeometricType=kind, ContourData=numbers, NumberOfContourPoints=len(numbers) // 3)
    if uid:
        contour.ContourImageSequence = [item(ReferencedSOPInstanceUID=uid)]
    return contour


@pytest.fixture
def uids(tmp_path: Path) -> list[str]:
    return [pydicom.dcmread(path).SOPInstanceUID for path in make_series(tmp_path / "ct", 4)]


def placed(structures: Path, series: Path) -> list[tuple[str, int, tuple[float, ...]]]:
    with open_source(series) as source:
        found = place_findings(read_findings(structures).findings, series_slices(source))
    return [(each.label, index, part.box) for each in found for index, part in each.parts]


def test_outlines_along_edges_of_pixels_are_boxes_of_these_edges(tmp_path: Path, uids: list[str]) -> None:
    outlines = [(uids[1], "CLOSED_PLANAR", rectangle(10, 20, 14, 31, 2.0)),
                (uids[2], "CLOSED_PLANAR", rectangle(63, 0, 64, 1, 4.0))]  # fmt: skip
    path = write(tmp_path / "rt.dcm", [("GTV-1", "GTV", outlines)])
    assert placed(path, tmp_path / "ct") == [
        ("GTV-1", 1, (10.0, 20.0, 14.0, 31.0)), ("GTV-1", 2, (63.0, 0.0, 64.0, 1.0)),
    ]  # fmt: skip


def test_an_outline_within_another_is_a_hole_and_one_beside_it_a_part(tmp_path: Path, uids: list[str]) -> None:
    outlines = [(uids[0], "CLOSED_PLANAR", rectangle(10, 10, 20, 20, 0.0)),
                (uids[0], "CLOSED_PLANAR", rectangle(13, 14, 15, 17, 0.0)),
                (uids[0], "CLOSED_PLANAR", rectangle(10, 30, 12, 33, 0.0))]  # fmt: skip
    path = write(tmp_path / "rt.dcm", [("lesion", "", outlines)])
    with open_source(tmp_path / "ct") as source:
        (found,) = place_findings(read_findings(path).findings, series_slices(source))
    assert [part.box for _, part in found.parts] == [(10.0, 10.0, 20.0, 20.0), (10.0, 30.0, 12.0, 33.0)]
    mask = found.parts[0][1].mask((64, 64))
    assert (mask.sum(), mask[13:15, 14:17].any()) == (100 - 6, False)


def test_the_area_of_a_circle_is_that_of_its_pixels(tmp_path: Path, uids: list[str]) -> None:
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius, centre = 9.0, CORNER + 30 * PIXEL
    points = np.stack([centre + radius * np.cos(turn), centre + radius * np.sin(turn), np.zeros(90)], axis=1)
    path = write(tmp_path / "rt.dcm", [("lesion", "", [(uids[0], "CLOSED_PLANAR", points.ravel().round(4).tolist())])])
    with open_source(tmp_path / "ct") as source:
        (found,) = place_findings(read_findings(path).findings, series_slices(source))
    (_, part), *_ = found.parts
    assert part.mask((64, 64)).sum() * PIXEL**2 == pytest.approx(np.pi * radius**2, rel=0.02)
    assert part.box == (18.0, 18.0, 43.0, 43.0)  # the pixels whose centres are within 12.86 of row and column 30


def test_an_outline_between_centres_of_pixels_has_the_box_of_its_corners(tmp_path: Path, uids: list[str]) -> None:
    path = write(tmp_path / "rt.dcm", [("tiny", "", [(uids[0], "CLOSED_PLANAR", rectangle(10.6, 20.6, 10.9, 21, 0))])])
    ((_, index, box),) = placed(path, tmp_path / "ct")
    assert index == 0
    assert box == pytest.approx((10.6, 20.6, 10.9, 21.0))


def test_outlines_on_missing_slices_are_left_out(tmp_path: Path, uids: list[str]) -> None:
    outlines = [(uids[1], "CLOSED_PLANAR", rectangle(1, 2, 3, 4, 2.0)),
                (uids[2], "CLOSED_PLANAR", rectangle(5, 6, 7, 8, 4.0))]  # fmt: skip
    path = write(tmp_path / "rt.dcm", [("lesion", "GTV", outlines)])
    (tmp_path / "ct" / "s001.dcm").unlink()
    assert placed(path, tmp_path / "ct") == [("lesion", 1, (5.0, 6.0, 7.0, 8.0))]


def test_without_images_an_outline_lies_by_its_place_in_the_series(tmp_path: Path, uids: list[str]) -> None:
    """One within another is still a hole, and one between two slices lies in none."""
    outlines = [(None, "CLOSED_PLANAR", rectangle(10, 10, 20, 20, 2.0)),
                (None, "CLOSED_PLANAR", rectangle(10, 10, 20, 15, 2.0)),
                (None, "CLOSED_PLANAR", rectangle(1, 1, 5, 5, 3.0))]  # fmt: skip
    path = write(tmp_path / "rt.dcm", [("lesion", "", outlines)], series="1.2.3.10")
    assert placed(path, tmp_path / "ct") == [("lesion", 1, (10.0, 15.0, 20.0, 20.0))]
    make_series(tmp_path / "other", 4, series="1.2.3.11")
    assert placed(path, tmp_path / "other") == []
    with pytest.raises(CannotDecode, match="'lesion' names neither its images nor one series; export it"):
        read_findings(write(tmp_path / "lost.dcm", [("lesion", "", outlines)]))


def test_structures_that_are_no_lesions_are_left_out_and_said(tmp_path: Path, uids: list[str]) -> None:
    outline = (uids[0], "CLOSED_PLANAR", rectangle(1, 2, 3, 4, 0.0))
    point = (uids[0], "POINT", rectangle(1, 2, 3, 4, 0.0)[:3])
    path = write(tmp_path / "rt.dcm", [("BODY", "EXTERNAL", [outline]), ("GTV", "GTV", [outline, point])])
    found = read_findings(path)
    assert [each.label for each in found.findings] == ["GTV"]
    assert [text.partition("rt.dcm: ")[2] for text in map(str, found.left_out)] == [
        "structure 'BODY' is of type EXTERNAL (left out)",
        "structure 'GTV' has 1 contours that enclose nothing (left out)",
    ]
    with pytest.raises(NothingToRead, match="structure 'BODY' is of type EXTERNAL"):
        read_findings(write(tmp_path / "body.dcm", [("BODY", "EXTERNAL", [outline])]))


def test_numbers_that_are_no_points_are_named(tmp_path: Path, uids: list[str]) -> None:
    path = write(tmp_path / "rt.dcm", [("GTV", "GTV", [(uids[0], "CLOSED_PLANAR", [1.0, 2.0, 3.0, 4.0])])])
    with pytest.raises(CannotDecode, match="structure 'GTV' has 4 numbers, which are no points of x, y and z"):
        read_findings(path)

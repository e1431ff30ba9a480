"""What a report takes over from the images of a series, and how it refers to their slices and frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from lowdose.infer.lesions import DetectedLesion, LesionBox
from lowdose.io.dicom.evidence import evidence_of
from lowdose.io.dicom.series import DicomSource
from lowdose.report.lesion_document import lesion_document
from support.synthetic_dicom import make_enhanced, make_series


def test_slices_are_referred_to_in_the_order_of_the_series(tmp_path: Path) -> None:
    paths = make_series(tmp_path, 3, before=lambda header, index: setattr(header, "InstanceNumber", 9 - index))
    evidence = evidence_of(DicomSource(tmp_path))
    assert evidence is not None
    assert [each.sop_instance for each in evidence.slices] == [dcmread(path).SOPInstanceUID for path in paths]
    assert {(each.sop_class, each.frame) for each in evidence.slices} == {(CTImageStorage, None)}
    assert [image.SOPInstanceUID for image in evidence.images] == [each.sop_instance for each in evidence.slices]
    first = evidence.images[0]
    assert (str(first.PatientName), first.PatientID, first.StudyDate) == ("Secret^Name", "SECRET-ID", "20200102")


def test_frames_are_referred_to_by_number_in_one_object(tmp_path: Path) -> None:
    hd = pytest.importorskip("highdicom")
    path = make_enhanced(tmp_path / "frames.dcm", 3)
    source = DicomSource(path)
    evidence = evidence_of(source)
    assert evidence is not None
    assert len(evidence.images) == 1
    # the frames lie in reverse order in the file
    assert [each.frame for each in evidence.slices] == [3, 2, 1]
    assert {each.sop_class for each in evidence.slices} == {EnhancedCTImageStorage}
    lesion = DetectedLesion((LesionBox(0, (1.0, 2.0, 3.0, 5.0), 0.75),), 40.0, (None, None, None), None)
    (tmp_path / "report.dcm").write_bytes(lesion_document([lesion], evidence, []))
    (group,) = hd.sr.srread(tmp_path / "report.dcm").content.get_volumetric_roi_measurement_groups()
    assert group.roi[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 3
    assert group.roi[0].value.tolist() == [[2, 1], [5, 1], [5, 3], [2, 3], [2, 1]]


def test_values_that_a_new_object_must_not_have_are_left_empty(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")

    def spoil(header: Any, _: int) -> None:
        header.StudyDate, header.StudyTime, header.PatientSex = "02.01.2020", "later", "X"
        header.PatientBirthDate = "anonymous"
        del header.PatientName, header.ReferringPhysicianName, header.StudyID

    make_series(tmp_path, 1, after=spoil)
    evidence = evidence_of(DicomSource(tmp_path))
    assert evidence is not None
    first = evidence.images[0]
    for keyword in ("StudyDate", "StudyTime", "PatientSex", "PatientBirthDate", "PatientName", "StudyID"):
        assert first[keyword].value in ("", None)
    assert lesion_document([], evidence, [])


def test_images_without_uids_cannot_be_referred_to(tmp_path: Path) -> None:
    make_series(tmp_path, 1, after=lambda header, _: setattr(header, "StudyInstanceUID", ""))
    assert evidence_of(DicomSource(tmp_path)) is None

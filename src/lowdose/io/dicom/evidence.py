"""What a report needs of the CT images that it is about: patient and study, and how each slice is referred to."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydicom import Dataset
from pydicom.uid import CTImageStorage
from pydicom.valuerep import DA, TM

from lowdose.io.dicom.derivation import is_legal
from lowdose.io.dicom.full_header import read_full_header
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.series import DicomSource

PATIENT_AND_STUDY = """
PatientID PatientName PatientBirthDate PatientSex AccessionNumber StudyID StudyDate StudyTime ReferringPhysicianName
"""
"""Attributes that a report takes over, if only empty."""
DATES = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
"""Those of them that must be legal dates or times."""
SEXES = ("", "M", "F", "O")


class ImageReference(NamedTuple):
    """How a report refers to a slice: SOP class and instance, and the number of the frame, from 1, if it has frames."""

    sop_class: str
    sop_instance: str
    frame: int | None


class Evidence(NamedTuple):
    """The images of a series, as a report names them.

    Attributes
    ----------
    images : list of Dataset
        Each object once, with its UIDs; the first also has the attributes of patient and study.
    slices : list of ImageReference
        How each slice of the series is referred to, in order.
    """

    images: list[Dataset]
    slices: list[ImageReference]


def evidence_of(source: DicomSource) -> Evidence | None:
    """Return what a report about a series needs of its images; None where they lack UIDs to refer to them by."""
    with suppress_pydicom_warnings():
        header = read_full_header(source.images[0].path)
        study, series = str(header.get("StudyInstanceUID", "")), str(header.get("SeriesInstanceUID", ""))
        uids = [image.sop_uid for image in source.images]
        if not all(is_legal(uid) for uid in (study, series, *uids)):
            return None
        sop_class = str(header.get("SOPClassUID") or CTImageStorage)
        images = [_reference(sop_class, uid, study, series) for uid in dict.fromkeys(uids)]
        for keyword in PATIENT_AND_STUDY.split():
            setattr(images[0], keyword, _legal_value(header, keyword))
        images[0].SpecificCharacterSet = "ISO_IR 192"
    slices = [
        ImageReference(sop_class, image.sop_uid, image.frame + 1 if image.pixels.frames > 1 else None)
        for image in source.images
    ]
    return Evidence(images, slices)


def _reference(sop_class: str, uid: str, study: str, series: str) -> Dataset:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = sop_class, uid
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    return image


def _legal_value(header: Any, keyword: str) -> Any:
    """Return a value of the header, or empty text where it is missing or a new object must not have it."""
    value = header.get(keyword)
    if value is None or (keyword == "PatientSex" and value not in SEXES):
        return ""
    if keyword in DATES:
        try:
            DATES[keyword](str(value))
        except ValueError:
            return ""
    return value

"""The header of a derived image: what it was made from, by what, and nothing that is no longer true of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, generate_uid

from lowdose.io.provenance import Code, Provenance

SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")
PROCESSING_EQUIPMENT = ("109102", "DCM", "Processing Equipment")
SERIES_NUMBER_STEP = 1000
HIGHEST_INTEGER = (1 << 31) - 1
STALE = (
    "IconImageSequence",
    "PixelDataProviderURL",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
)
"""What a derived image must not carry over: it describes, locates or signs the source's pixels."""

REQUIRED = """
PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName
Laterality Manufacturer PositionReferenceIndicator AcquisitionNumber InstanceNumber KVP
"""
"""What a CT image must have, if only empty; added where an anonymiser removed even the class of the object."""


def new_uid() -> str:
    """A UID from a random UUID, which needs no registered root."""
    return str(generate_uid(prefix=None))


@dataclass
class Derivation:
    """What the objects of one derived series share; ``objects`` counts them. An empty study gets a new UID."""

    provenance: Provenance
    made: datetime
    study: str
    series: str = field(default_factory=new_uid)
    frame_of_reference: str = field(default_factory=new_uid)
    objects: int = 0

    def __post_init__(self) -> None:
        self.study = self.study or new_uid()


def derive_header(header: Any, pedigree: Derivation) -> None:
    """Turns the header of a single-frame CT image into that of its derived image, in place."""
    reference = _reference(header)
    _renew(header, pedigree)
    header.ImageType = derived_type(header.get("ImageType"))
    header.DerivationDescription = pedigree.provenance.derivation
    header.DerivationCodeSequence = Sequence(
        [*header.get("DerivationCodeSequence", []), code(pedigree.provenance.code)]
    )
    if reference is not None:
        header.SourceImageSequence = Sequence([reference])


def derive_multiframe_header(header: Any, pedigree: Derivation) -> None:
    """The same for an enhanced multi-frame object, which keeps its pedigree in functional groups."""
    reference = _reference(header)
    if reference is not None:
        earlier = list(header.get("SourceImageEvidenceSequence") or [])
        header.SourceImageEvidenceSequence = Sequence([*earlier, _evidence(header, reference)])
    _renew(header, pedigree)
    header.ImageType = derived_type(header.get("ImageType"))
    shared = list(header.get("SharedFunctionalGroupsSequence") or [Dataset()])
    header.SharedFunctionalGroupsSequence = Sequence(shared)
    single = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    for group in [*shared, *single]:
        for frame_type in group.get("CTImageFrameTypeSequence") or []:
            frame_type.FrameType = derived_type(frame_type.get("FrameType"))
    item = Dataset()
    item.DerivationDescription = pedigree.provenance.derivation
    item.DerivationCodeSequence = Sequence([code(pedigree.provenance.code)])
    item.SourceImageSequence = Sequence([reference] if reference is not None else [])
    # a functional group is either shared or per frame, never both
    per_frame = [group for group in single if "DerivationImageSequence" in group]
    for group in single if per_frame else shared:
        group.DerivationImageSequence = Sequence([*group.get("DerivationImageSequence", []), item])


def _reference(header: Any) -> Dataset | None:
    """A reference to the source image; None when it has no legal UID of its own."""
    meta = header.file_meta
    instance = header.get("SOPInstanceUID") or meta.get("MediaStorageSOPInstanceUID")
    if not instance or not UID(instance).is_valid:
        return None
    item = Dataset()
    item.ReferencedSOPClassUID = header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or CTImageStorage
    item.ReferencedSOPInstanceUID = instance
    item.PurposeOfReferenceCodeSequence = Sequence([code(SOURCE_IMAGE)])
    return item


def _evidence(header: Any, reference: Dataset) -> Dataset:
    """Where in the source's study the referenced object is found."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = reference.ReferencedSOPClassUID
    instance.ReferencedSOPInstanceUID = reference.ReferencedSOPInstanceUID
    series.SeriesInstanceUID = header.get("SeriesInstanceUID")
    series.ReferencedSOPSequence = Sequence([instance])
    study.StudyInstanceUID = header.get("StudyInstanceUID")
    study.ReferencedSeriesSequence = Sequence([series])
    return study


def _renew(header: Any, pedigree: Derivation) -> None:
    """New identity, time and equipment; everything stale removed."""
    for keyword in STALE:
        if keyword in header:
            delattr(header, keyword)
    for element_tag in [tag for tag in header.keys() if tag.element == 0 or tag.group == 0xFFFA]:  # noqa: SIM118
        del header[element_tag]
    if not header.get("SOPClassUID"):
        for keyword in (keyword for keyword in REQUIRED.split() if keyword not in header):
            setattr(header, keyword, None)
    header.SOPClassUID = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or CTImageStorage
    header.SOPInstanceUID = new_uid()
    header.SeriesInstanceUID = pedigree.series
    header.StudyInstanceUID = pedigree.study
    header.FrameOfReferenceUID = header.get("FrameOfReferenceUID") or pedigree.frame_of_reference
    header.Modality = "CT"
    header.SeriesNumber = _series_number(header)
    header.SeriesDescription = pedigree.provenance.series_description(str(header.get("SeriesDescription") or ""))
    header.InstanceCreationDate = pedigree.made.strftime("%Y%m%d")
    header.InstanceCreationTime = pedigree.made.strftime("%H%M%S")
    equipment = list(header.get("ContributingEquipmentSequence") or [])
    header.ContributingEquipmentSequence = Sequence([*equipment, _equipment(pedigree)])


def _series_number(header: Any) -> int:
    """The source's number and 1000, or the source's own where that is more than a header holds."""
    try:
        number = int(header.get("SeriesNumber") or 0)
    except (TypeError, ValueError, OverflowError):
        number = 0
    return number + SERIES_NUMBER_STEP if number + SERIES_NUMBER_STEP <= HIGHEST_INTEGER else number


def _equipment(pedigree: Derivation) -> Dataset:
    provenance = pedigree.provenance
    item = Dataset()
    item.Manufacturer = "lowdose"
    item.ManufacturerModelName = provenance.software
    item.SoftwareVersions = provenance.versions
    item.ContributionDateTime = pedigree.made.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = provenance.derivation
    item.PurposeOfReferenceCodeSequence = Sequence([code(PROCESSING_EQUIPMENT)])
    return item


def derived_type(kept: Any) -> list[str]:
    """An image or frame type whose first value is DERIVED, the others kept."""
    values = [kept] if isinstance(kept, str) else list(kept or [])
    return ["DERIVED", *(str(value) for value in values[1:] or ["PRIMARY", "AXIAL"])]


def code(term: Code) -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = term
    return item

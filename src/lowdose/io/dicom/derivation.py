"""Header of a derived image: what it was made from and by what, without anything that no longer holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, generate_uid

from lowdose.io.dicom.plain_values import HIGHEST_INTEGER
from lowdose.io.provenance import Code, Provenance

SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")
"""Purpose of a reference to the source image."""
PROCESSING_EQUIPMENT = ("109102", "DCM", "Processing Equipment")
"""Purpose of the entry for this software in the contributing equipment."""
SERIES_NUMBER_STEP = 1000
"""The series number of a derived series is the source's plus this."""
STALE = (
    "IconImageSequence",
    "PixelDataProviderURL",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
)
"""Attributes that a derived image must not keep: they describe, locate or sign the pixels of its source."""

UIDS = ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
"""UIDs that each derived image states, its own or those of its source."""
READ = """
SpecificCharacterSet ImageType SOPClassUID SeriesDescription DerivationCodeSequence ContributingEquipmentSequence
SeriesNumber
"""
"""Attributes of a single-frame source that ``derive_header`` depends on, but for these."""
OVERWRITTEN = """
InstanceCreationDate InstanceCreationTime Modality DerivationDescription SourceImageSequence SeriesInstanceUID
"""
"""Attributes that it replaces, whatever the source states."""
REQUIRED = """
PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName
Laterality Manufacturer PositionReferenceIndicator AcquisitionNumber InstanceNumber KVP
"""
"""Attributes that a CT image must have, if only empty.

They are added where an anonymiser removed even the SOP class.
"""


def new_uid() -> str:
    """Return a UID made from a random UUID, which needs no registered root."""
    return str(generate_uid(prefix=None))


@dataclass
class Derivation:
    """What all objects of one derived series share.

    Attributes
    ----------
    provenance : Provenance
        Software, and what it did.
    created : datetime
        Time at which the derived series was created.
    study : str
        StudyInstanceUID of images that state none; an empty one is replaced by a new UID.
    frame_of_reference : str
        FrameOfReferenceUID of images that state none; an empty one is replaced by a new UID.
    series : str
        New SeriesInstanceUID.
    objects : int
        Number of objects written so far.
    """

    provenance: Provenance
    created: datetime
    study: str
    frame_of_reference: str = ""
    series: str = field(default_factory=new_uid)
    objects: int = 0

    def __post_init__(self) -> None:
        self.study = self.study or new_uid()
        self.frame_of_reference = self.frame_of_reference or new_uid()


def derive_header(header: Any, derivation: Derivation) -> None:
    """Turn the header of a single-frame CT image into that of its derived image, in place."""
    renew_instance(header, derivation)
    _renew_series(header, derivation)
    put(header, "ImageType", derived_type(header.get("ImageType")))
    put(header, "DerivationDescription", derivation.provenance.derivation)
    codes = [*items_of(header, "DerivationCodeSequence"), code(derivation.provenance.code)]
    put(header, "DerivationCodeSequence", Sequence(codes))


def renew_instance(header: Any, derivation: Derivation) -> bool:
    """Give a single-frame header what may differ within a derived series: its UIDs, and a reference to its source.

    Returns whether there is a reference; a source without a legal UID cannot be referred to.
    """
    reference = _source_reference(header)
    _renew_uids(header, derivation)
    if reference is not None:
        put(header, "SourceImageSequence", Sequence([reference]))
    return reference is not None


def derive_multiframe_header(header: Any, derivation: Derivation) -> None:
    """Turn the header of an enhanced multi-frame object into that of its derived object, in place.

    Such an object states its derivation in functional groups.
    """
    reference = _source_reference(header)
    if reference is not None and is_legal(header.get("SeriesInstanceUID")) and is_legal(header.get("StudyInstanceUID")):
        evidence = [*items_of(header, "SourceImageEvidenceSequence"), _evidence_item(header, reference)]
        put(header, "SourceImageEvidenceSequence", Sequence(evidence))
    _renew_uids(header, derivation)
    _renew_series(header, derivation)
    put(header, "ImageType", derived_type(header.get("ImageType")))
    shared = list(header.get("SharedFunctionalGroupsSequence") or [Dataset()])
    header.SharedFunctionalGroupsSequence = Sequence(shared)
    per_frame = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    for group in [*shared, *per_frame]:
        for frame_type in group.get("CTImageFrameTypeSequence") or []:
            frame_type.FrameType = derived_type(frame_type.get("FrameType"))
    item = Dataset()
    item.DerivationDescription = derivation.provenance.derivation
    item.DerivationCodeSequence = Sequence([code(derivation.provenance.code)])
    item.SourceImageSequence = Sequence([reference] if reference is not None else [])
    # DICOM allows a functional group to be either shared or per frame, never both
    derived_frames = [group for group in per_frame if "DerivationImageSequence" in group]
    for group in per_frame if derived_frames else shared:
        group.DerivationImageSequence = Sequence([*group.get("DerivationImageSequence", []), item])


def _source_reference(header: Any) -> Dataset | None:
    """Return a reference to the source image, or None when it has no legal UID."""
    meta = header.file_meta
    instance = header.get("SOPInstanceUID") or meta.get("MediaStorageSOPInstanceUID")
    if not is_legal(instance):
        return None
    item = Dataset()
    item.ReferencedSOPClassUID = header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or CTImageStorage
    item.ReferencedSOPInstanceUID = instance
    item.PurposeOfReferenceCodeSequence = Sequence([code(SOURCE_IMAGE)])
    return item


def is_legal(uid: Any) -> bool:
    """Return whether a UID is one by the rules of DICOM, its root (0, 1 or 2) included."""
    if not uid or not UID(str(uid)).is_valid:
        return False
    root, _, rest = str(uid).partition(".")
    return root in ("0", "1", "2") and rest != "" and (root == "2" or int(rest.partition(".")[0]) < 40)


def _evidence_item(header: Any, reference: Dataset) -> Dataset:
    """Return the place of the referenced object within its study and series."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = reference.ReferencedSOPClassUID
    instance.ReferencedSOPInstanceUID = reference.ReferencedSOPInstanceUID
    series.SeriesInstanceUID = header.get("SeriesInstanceUID")
    series.ReferencedSOPSequence = Sequence([instance])
    study.StudyInstanceUID = header.get("StudyInstanceUID")
    study.ReferencedSeriesSequence = Sequence([series])
    return study


def _renew_uids(header: Any, derivation: Derivation) -> None:
    """Give the header a new UID, and those of study and frame of reference where it states none."""
    study = header.get("StudyInstanceUID") or derivation.study
    frame_of_reference = header.get("FrameOfReferenceUID") or derivation.frame_of_reference
    put(header, "SOPInstanceUID", new_uid())
    put(header, "StudyInstanceUID", study)
    put(header, "FrameOfReferenceUID", frame_of_reference)


def _renew_series(header: Any, derivation: Derivation) -> None:
    """Give the header a new series, time and equipment, and remove everything stale."""
    for keyword in STALE:
        if keyword in header:
            delattr(header, keyword)
    for element_tag in [tag for tag in header.keys() if tag.element == 0 or tag.group == 0xFFFA]:  # noqa: SIM118
        del header[element_tag]
    if not header.get("SOPClassUID"):
        for keyword in (keyword for keyword in REQUIRED.split() if keyword not in header):
            setattr(header, keyword, None)
    equipment = [*items_of(header, "ContributingEquipmentSequence"), _equipment_item(derivation)]
    description = derivation.provenance.series_description(str(header.get("SeriesDescription") or ""))
    for keyword, value in {
        "SOPClassUID": header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or CTImageStorage,
        "SeriesInstanceUID": derivation.series,
        "Modality": "CT",
        "SeriesNumber": _series_number(header),
        "SeriesDescription": description,
        "InstanceCreationDate": derivation.created.strftime("%Y%m%d"),
        "InstanceCreationTime": derivation.created.strftime("%H%M%S"),
        "ContributingEquipmentSequence": Sequence(equipment),
    }.items():
        put(header, keyword, value)


def put(header: Any, keyword: str, value: Any) -> None:
    """Set an attribute in its own value representation, whatever the source states it in."""
    if keyword in header:
        del header[keyword]
    setattr(header, keyword, value)


def items_of(header: Any, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none where it is missing or no sequence."""
    return [item for item in header.get(keyword) or [] if isinstance(item, Dataset)]


def _series_number(header: Any) -> int:
    """Return the source's series number plus 1000.

    Where the sum does not fit the attribute, the source's number itself. A number that does not fit counts as absent.
    """
    try:
        number = int(header.get("SeriesNumber") or 0)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if abs(number) > HIGHEST_INTEGER:
        number = 0
    return number + SERIES_NUMBER_STEP if number + SERIES_NUMBER_STEP <= HIGHEST_INTEGER else number


def _equipment_item(derivation: Derivation) -> Dataset:
    provenance = derivation.provenance
    item = Dataset()
    item.Manufacturer = "lowdose"
    item.ManufacturerModelName = provenance.software
    item.SoftwareVersions = provenance.versions
    item.ContributionDateTime = derivation.created.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = provenance.derivation
    item.PurposeOfReferenceCodeSequence = Sequence([code(PROCESSING_EQUIPMENT)])
    return item


def derived_type(image_type: Any) -> list[str]:
    """Return an image or frame type whose first value is DERIVED; the other values are kept."""
    values = [image_type] if isinstance(image_type, str) else list(image_type or [])
    return ["DERIVED", *(str(value) for value in values[1:] or ["PRIMARY", "AXIAL"])]


def code(term: Code) -> Dataset:
    """Return an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = term
    return item

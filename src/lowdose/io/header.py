"""One DICOM file's header, reduced to what reading its slices takes; pixels are located, not read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)

from lowdose.errors import CannotDecode, LowDoseError, NotCT
from lowdose.io.image import Image, image
from lowdose.io.multiframe import frames
from lowdose.io.patients import patient_keys
from lowdose.io.pixels import PixelFormat, check_decodable, check_encapsulated, check_native, locate
from lowdose.io.values import Values, number, plain, tags, text, values
from lowdose.io.walk import Unusual, walk
from lowdose.volume import Acquisition

CT = {"", CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
STARTS = (b"\x08\x00", b"\x00\x08", b"\x02\x00")  # first group of a data set without preamble, either byte order
KEYWORDS = """
SOPClassUID SOPInstanceUID SeriesInstanceUID StudyInstanceUID FrameOfReferenceUID Modality ImageType PatientID
StudyDate StudyTime Manufacturer KVP SliceThickness ConvolutionKernel GantryDetectorTilt AcquisitionNumber
InstanceNumber ImagePositionPatient ImageOrientationPatient PixelSpacing SamplesPerPixel PhotometricInterpretation
NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
PixelPaddingRangeLimit RescaleSlope RescaleIntercept RescaleType ModalityLUTSequence LossyImageCompression
SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
"""
META_KEYWORDS = ["TransferSyntaxUID", "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"]
WANTED = dict(zip(KEYWORDS.split(), tags(KEYWORDS.split()), strict=True))
META = dict(zip(META_KEYWORDS, tags(META_KEYWORDS), strict=True))
BY_TAG = {int(tag): keyword for keyword, tag in {**WANTED, **META}.items()}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file spells its elements."""

    implicit: bool
    little: bool
    syntax: UID


class LeftOut(Exception):
    """Why a file is no slice of any CT series. dicom: it is DICOM, though."""

    def __init__(self, reason: str, dicom: bool = True) -> None:
        super().__init__(reason)
        self.dicom = dicom


@dataclass(frozen=True, slots=True)
class File:
    """One CT image file. A file with a ``fault`` belongs to its series, and is why that series cannot be read."""

    path: Path
    series: str
    study: str
    shape: tuple[int, int]
    acquisition: Acquisition
    patient_keys: frozenset[str]
    images: tuple[Image, ...]
    fault: LowDoseError | None


def read_header(path: Path) -> File:
    """The header of one file. Raises LeftOut when it is no CT slice; a CT slice that cannot be read has a fault."""
    with path.open("rb", buffering=0) as file:
        header, encoding = _open(file)
        for keyword in ("SOPClassUID", "SOPInstanceUID"):
            header[keyword] = text(header.get(keyword) or header.get(f"MediaStorage{keyword}"))
        _require_ct_slice(header)
        fault: LowDoseError | None = None
        images: tuple[Image, ...] = ()
        try:
            images = _images(path, header, _pixel_format(path, file, encoding, header))
        except LowDoseError as error:
            fault = error
        except Exception as error:  # what nested headers that are broken raise is anyone's guess
            fault = CannotDecode(f"{path}: its header is damaged ({error}); copy or export this file again")
    return File(
        path,
        text(header.get("SeriesInstanceUID")),
        text(header.get("StudyInstanceUID")),
        (header.get("Rows", 0), header.get("Columns", 0)),
        _acquisition(header),
        patient_keys(header),
        images,
        fault,
    )


def _open(file: BinaryIO) -> tuple[Values, Encoding]:
    """Everything wanted before the pixels; leaves ``file`` where the pixel element starts. Raises LeftOut."""
    try:
        walked = walk(file, BY_TAG)
    except Unusual:
        return _open_unusual(file)
    file.seek(walked.pixels_at)
    header = {keyword: value for keyword, raw in walked.raw.items() if (value := plain(keyword, raw)) not in ("", None)}
    return header, Encoding(walked.implicit, True, UID(walked.syntax))


def _open_unusual(file: BinaryIO) -> tuple[Values, Encoding]:
    """The same by pydicom."""
    start = file.read(132)
    file.seek(0)
    if start[128:] != b"DICM" and start[:2] not in STARTS:
        raise LeftOut("not a DICOM file", dicom=False)
    try:
        data: Any = dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(WANTED.values()))
    except Exception as error:  # pydicom raises whatever it likes
        raise LeftOut(f"not readable as DICOM ({type(error).__name__})", dicom=False) from error
    if not len(data) and not data.file_meta:
        raise LeftOut("not a DICOM file", dicom=False)
    implicit, little = (bool(value) for value in data.original_encoding)
    native = ExplicitVRBigEndian if not little else ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta = values(data.file_meta, META)
    syntax = UID(text(meta.get("TransferSyntaxUID")) or native)
    return {**meta, **values(data, WANTED)}, Encoding(implicit, little, syntax)


def _require_ct_slice(header: Values) -> None:
    sop_class, modality = header["SOPClassUID"], text(header.get("Modality"))
    if sop_class not in CT:
        raise LeftOut(f"{UID(sop_class).name}, not a CT image")
    if "Rows" not in header and not sop_class and not modality:
        raise LeftOut("no image in it")
    if modality not in ("CT", ""):
        raise LeftOut(f"modality {modality}, not CT")
    if "LOCALIZER" in str(header.get("ImageType")).upper():
        raise LeftOut("localizer (scout) image")


def _images(path: Path, header: Values, form: PixelFormat) -> tuple[Image, ...]:
    if "PerFrameFunctionalGroupsSequence" in header or "SharedFunctionalGroupsSequence" in header:
        return frames(path, header, form)
    if form.frames != 1:
        raise NotCT(f"{path}: {form.frames} frames, but no header says where each lies or what its HU are")
    return (image(path, 0, form, header, header),)


def _pixel_format(path: Path, file: BinaryIO, encoding: Encoding, header: Values) -> PixelFormat:
    if header.get("SamplesPerPixel", 1) != 1:
        colour, samples = text(header.get("PhotometricInterpretation")), header["SamplesPerPixel"]
        raise NotCT(f"{path}: a colour image ({colour}, {samples} samples per pixel), not CT in HU")
    if "Rows" not in header or "Columns" not in header:
        raise CannotDecode(f"{path}: says it is a CT image, but its header ends early; copy or export it again")
    allocated, bits = header.get("BitsAllocated", 0), header.get("BitsStored", 0)
    form = PixelFormat(
        int(number(header.get("NumberOfFrames")) or 1),
        header["Rows"],
        header["Columns"],
        allocated,
        bits,
        header.get("HighBit", bits - 1),
        header.get("PixelRepresentation", 0) == 1,
        encoding.syntax,
        encoding.little,
        None,
    )
    size = f"{form.columns}x{form.rows}"
    if (
        allocated not in (8, 16, 32)
        or not 0 < bits <= form.high_bit + 1 <= allocated
        or form.frame_bytes * form.frames <= 0
    ):
        raise CannotDecode(f"{path}: {size} pixels, {bits} of {allocated} bits: no CT pixel format")
    return form if form.syntax == DeflatedExplicitVRLittleEndian else _locate(path, file, form, encoding.implicit)


def _locate(path: Path, file: BinaryIO, form: PixelFormat, implicit: bool) -> PixelFormat:
    """The format with the place of native pixels in the file. Raises CannotDecode when they are not all there."""
    place = locate(file, implicit, form.little_endian)
    if place is None:
        raise CannotDecode(f"{path}: the file ends before its pixels; copy or export it again")
    if form.syntax.is_encapsulated:
        check_decodable(path, form.syntax, form.bits)
        check_encapsulated(path, file)
        return form
    check_native(path, form, form.frames, min(place[1], path.stat().st_size - place[0]))
    return replace(form, offset=place[0])


def _acquisition(header: Values) -> Acquisition:
    """Kernel, thickness (mm), kVp and maker as the header states them."""
    return Acquisition(
        text(header.get("ConvolutionKernel")) or None,
        number(header.get("SliceThickness")),
        number(header.get("KVP")),
        text(header.get("Manufacturer")) or None,
    )

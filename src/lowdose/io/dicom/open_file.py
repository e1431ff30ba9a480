"""Opening one DICOM file, of whatever encoding, up to its pixels: the wanted values, and where the pixels are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)

from lowdose.errors import CannotDecode, LowDoseError
from lowdose.io.dicom.deflated import plain_file
from lowdose.io.dicom.fast_header import NeedsFullParser, read_fast_header
from lowdose.io.dicom.values import Values, plain, tags, text, values
from lowdose.io.messages import system_reason

CT = {"", CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
STARTS = (b"\x08\x00", b"\x00\x08", b"\x02\x00")  # first group of a data set without preamble, either byte order
SLICE_ENDINGS = (".dcm", ".ima")
KEYWORDS = """
SOPClassUID SOPInstanceUID SeriesInstanceUID StudyInstanceUID FrameOfReferenceUID Modality ImageType PatientID
StudyDate StudyTime Manufacturer KVP XRayTubeCurrent ExposureTime Exposure SpiralPitchFactor SliceThickness
ConvolutionKernel GantryDetectorTilt AcquisitionNumber
InstanceNumber ImagePositionPatient ImageOrientationPatient PixelSpacing SamplesPerPixel PhotometricInterpretation
SpacingBetweenSlices NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
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


class NotACtSlice(Exception):
    """Why a file is no slice of any CT series. dicom: it is DICOM, though."""

    def __init__(self, reason: str, dicom: bool = True) -> None:
        super().__init__(reason)
        self.dicom = dicom


def open_header(path: Path, file: BinaryIO) -> tuple[Values, Encoding, BinaryIO]:
    """Everything wanted before the pixels, and the file (inflated if need be) where the pixel element starts."""
    try:
        walked = read_fast_header(file, BY_TAG)
    except NeedsFullParser:
        return _open_unusual(path, file)
    file.seek(walked.pixels_at)
    header = {keyword: value for keyword, raw in walked.raw.items() if (value := plain(keyword, raw)) not in ("", None)}
    return header, Encoding(walked.implicit, True, UID(walked.syntax)), file


def _open_unusual(path: Path, file: BinaryIO) -> tuple[Values, Encoding, BinaryIO]:
    """The same by pydicom. Raises LeftOut when it is not DICOM, CannotDecode when it is and cannot be read."""
    start = file.read(132)
    file.seek(0)
    marked = start[128:] == b"DICM"
    if not start.strip(b"\0"):
        _refuse_empty(path)
    if not marked and start[:2] not in STARTS:
        raise NotACtSlice("not a DICOM file", dicom=False)
    try:
        data, file = read_data(path, file, specific_tags=list(WANTED.values()))
    except Exception as error:  # pydicom raises whatever it likes
        if isinstance(error, LowDoseError) or (isinstance(error, OSError) and system_reason(error)):
            raise
        if marked and _may_be_ct(path):
            raise CannotDecode(f"{path}: its header is damaged ({_kind(error)}); copy or export it again") from error
        raise NotACtSlice(f"not readable as DICOM ({_kind(error)})", dicom=marked) from error
    meta = values(data.file_meta, META)
    if not len(data) and not meta:
        if marked:
            raise CannotDecode(f"{path}: its header ends early; copy or export it again")
        raise NotACtSlice("not a DICOM file", dicom=False)
    implicit, little = (bool(value) for value in data.original_encoding)
    native = ExplicitVRBigEndian if not little else ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    syntax = UID(text(meta.get("TransferSyntaxUID")) or native)
    return {**meta, **values(data, WANTED)}, Encoding(implicit, little, syntax), file


def read_data(path: Path, file: BinaryIO, **options: Any) -> tuple[Any, BinaryIO]:
    """A header by pydicom, and the file, inflated if need be, where its pixel element starts."""
    plain = plain_file(path)
    data = dcmread(plain or file, stop_before_pixels=True, force=True, **options)
    if plain is not None:
        data.file_meta = read_file_meta_info(path)
    return data, plain or file


def is_ct_class(uid: str) -> bool:
    """Whether it is the class of a CT image or the beginning of one: a file may end inside it."""
    return any(name.startswith(uid) for name in CT)


def _may_be_ct(path: Path) -> bool:
    """Whether the file's meta information, all that can be read of it, leaves this open."""
    try:
        return is_ct_class(str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")))
    except Exception:  # pydicom raises whatever it likes
        return True


def _kind(error: Exception) -> str:
    return "sequences nested too deep" if isinstance(error, RecursionError) else type(error).__name__


def _refuse_empty(path: Path) -> NoReturn:
    """Raises CannotDecode when a file without content is named as a slice, else LeftOut."""
    if path.suffix.lower() in SLICE_ENDINGS and not path.name.startswith("."):
        raise CannotDecode(f"{path}: empty, a failed copy; copy or export it again, or move it away")
    raise NotACtSlice("empty file (a failed copy?)", dicom=False)

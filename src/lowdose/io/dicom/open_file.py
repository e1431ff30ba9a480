"""Opening of one DICOM file, in any encoding, up to its pixels."""

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
from lowdose.io.dicom.plain_values import Values, plain, text
from lowdose.io.dicom.values import tags, values
from lowdose.io.messages import system_reason

CT = {"", CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
"""SOP classes of CT images; empty where an anonymiser removed the class."""
STARTS = (b"\x08\x00", b"\x00\x08", b"\x02\x00")  # first group of a data set without preamble, either byte order
SLICE_ENDINGS = (".dcm", ".ima")
"""Endings by which files are recognised as slices even when they are empty."""
KEYWORDS = """
SOPClassUID SOPInstanceUID SeriesInstanceUID StudyInstanceUID FrameOfReferenceUID Modality ImageType PatientID
PatientName StudyDate StudyTime Manufacturer KVP XRayTubeCurrent ExposureTime Exposure SpiralPitchFactor SliceThickness
ConvolutionKernel GantryDetectorTilt AcquisitionNumber
InstanceNumber ImagePositionPatient ImageOrientationPatient PixelSpacing SamplesPerPixel PhotometricInterpretation
SpacingBetweenSlices NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
PixelPaddingRangeLimit RescaleSlope RescaleIntercept RescaleType ModalityLUTSequence LossyImageCompression
SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
"""
"""Attributes that are read from every file."""
META_KEYWORDS = ["TransferSyntaxUID", "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"]
"""Attributes that are read from the file meta information."""
WANTED = dict(zip(KEYWORDS.split(), tags(KEYWORDS.split()), strict=True))
META = dict(zip(META_KEYWORDS, tags(META_KEYWORDS), strict=True))
BY_TAG = {int(tag): keyword for keyword, tag in {**WANTED, **META}.items()}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoding of the elements of a file.

    Attributes
    ----------
    implicit : bool
        Whether elements are in implicit VR.
    little : bool
        Whether numbers are little endian.
    syntax : UID
        Transfer syntax.
    """

    implicit: bool
    little: bool
    syntax: UID


class NotACtSlice(Exception):
    """Signal that a file is not a slice of any CT series; the message tells why.

    ``dicom`` tells whether it is a DICOM file at all.
    """

    def __init__(self, reason: str, dicom: bool = True) -> None:
        super().__init__(reason)
        self.dicom = dicom


def open_header(path: Path, file: BinaryIO) -> tuple[Values, Encoding, BinaryIO]:
    """Return the wanted values before the pixels, the encoding, and the file positioned where the pixel element starts.

    The file is an inflated copy in memory if the original is deflated.
    """
    try:
        fast = read_fast_header(file, BY_TAG)
    except NeedsFullParser:
        return _open_with_pydicom(path, file)
    file.seek(fast.pixels_at)
    header = {keyword: value for keyword, raw in fast.raw.items() if (value := plain(keyword, raw)) not in ("", None)}
    return header, Encoding(fast.implicit, True, UID(fast.syntax)), file


def _open_with_pydicom(path: Path, file: BinaryIO) -> tuple[Values, Encoding, BinaryIO]:
    """Do the same with pydicom, for files that the fast parser does not read.

    Raises NotACtSlice when the file is not DICOM, and CannotDecode when it is but cannot be read.
    """
    start = file.read(132)
    file.seek(0)
    has_preamble = start[128:] == b"DICM"
    if not start.strip(b"\0"):
        _raise_empty(path)
    if not has_preamble and start[:2] not in STARTS:
        raise NotACtSlice("not a DICOM file", dicom=False)
    try:
        data, file = read_data(path, file, specific_tags=list(WANTED.values()))
    except Exception as error:  # pydicom raises errors of many types
        if isinstance(error, LowDoseError) or (isinstance(error, OSError) and system_reason(error)):
            raise
        if has_preamble and _may_be_ct(path):
            raise CannotDecode(
                f"{path}: its header is damaged ({_describe_error(error)}); copy or export it again"
            ) from error
        raise NotACtSlice(f"not readable as DICOM ({_describe_error(error)})", dicom=has_preamble) from error
    meta = values(data.file_meta, META)
    if not len(data) and not meta:
        if has_preamble:
            raise CannotDecode(f"{path}: its header ends early; copy or export it again")
        raise NotACtSlice("not a DICOM file", dicom=False)
    implicit, little = (bool(value) for value in data.original_encoding)
    native = ExplicitVRBigEndian if not little else ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    syntax = UID(text(meta.get("TransferSyntaxUID")) or native)
    return {**meta, **values(data, WANTED)}, Encoding(implicit, little, syntax), file


def read_data(path: Path, file: BinaryIO, **options: Any) -> tuple[Any, BinaryIO]:
    """Return a data set read by pydicom, and the file (inflated if needed) where its pixel element starts."""
    plain = plain_file(path)
    data = dcmread(plain or file, stop_before_pixels=True, force=True, **options)
    if plain is not None:
        data.file_meta = read_file_meta_info(path)
    return data, plain or file


def is_ct_class(uid: str) -> bool:
    """Return whether a UID is the SOP class of a CT image or the beginning of one.

    A truncated file may end inside the UID.
    """
    return any(name.startswith(uid) for name in CT)


def _may_be_ct(path: Path) -> bool:
    """Return whether the file meta information, all that can be read of a damaged file, allows a CT image."""
    try:
        return is_ct_class(str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")))
    except Exception:  # pydicom raises errors of many types
        return True


def _describe_error(error: Exception) -> str:
    return "sequences nested too deep" if isinstance(error, RecursionError) else type(error).__name__


def _raise_empty(path: Path) -> NoReturn:
    """Raise CannotDecode when a file without content is named like a slice, else NotACtSlice."""
    if path.suffix.lower() in SLICE_ENDINGS and not path.name.startswith("."):
        raise CannotDecode(f"{path}: empty, a failed copy; copy or export it again, or move it away")
    raise NotACtSlice("empty file (a failed copy?)", dicom=False)

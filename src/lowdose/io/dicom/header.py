"""Header of one DICOM file, reduced to what reading its slices takes; pixels are located, not read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import UID

from lowdose.errors import CannotDecode, LowDoseError, NotCT
from lowdose.image import Acquisition
from lowdose.io.dicom.image import SliceHeader, read_slice_header
from lowdose.io.dicom.multiframe import frames
from lowdose.io.dicom.open_file import META, Encoding, NotACtSlice, is_ct_class, open_header
from lowdose.io.dicom.patients import patient_keys, patient_of
from lowdose.io.dicom.pixels import (
    PixelFormat,
    check_decodable,
    check_encapsulated,
    check_integers,
    check_known,
    check_native,
    locate,
)
from lowdose.io.dicom.plain_values import Values, integer, number, text
from lowdose.io.messages import shown
from lowdose.io.source import MAX_PIXELS, Rescale

CORRECT = "correct the header, for example with 'dcmodify', or export the image again"
"""Advice for pixels whose header is wrong."""


@dataclass(frozen=True, slots=True)
class DicomFile:
    """One CT image file.

    Attributes
    ----------
    path : Path
        The file.
    series, study, frame : str
        SeriesInstanceUID, StudyInstanceUID and FrameOfReferenceUID.
    patient : str
        Hash of the patient's identity (``patients.patient_of``).
    shape : tuple of 2 int
        Number of rows and columns.
    acquisition : Acquisition
        How the image was acquired.
    patient_keys : frozenset of str
        Hashes that identify the patient.
    images : tuple of SliceHeader
        The slices in the file.
    fault : LowDoseError or None
        Why the slices cannot be read. The file still belongs to its series, which cannot be read because of it.
    """

    path: Path
    series: str
    study: str
    frame: str
    patient: str
    shape: tuple[int, int]
    acquisition: Acquisition
    patient_keys: frozenset[str]
    images: tuple[SliceHeader, ...]
    fault: LowDoseError | None


def read_header(path: Path, rescale: Rescale | None = None) -> DicomFile:
    """Read the header of one file; a CT slice that cannot be read has a ``fault``.

    ``rescale`` is for images that do not state their slope and intercept.

    Raises NotACtSlice when the file is no CT slice, and CannotDecode when too little is left of it to know: it may be a
    slice of any series.
    """
    with path.open("rb", buffering=0) as raw:
        header, encoding, file = open_header(path, raw)
        for keyword in ("SOPClassUID", "SOPInstanceUID"):
            header[keyword] = text(header.get(keyword) or header.get(f"MediaStorage{keyword}"))
        _require_ct_slice(path, header)
        fault: LowDoseError | None = None
        images: tuple[SliceHeader, ...] = ()
        try:
            images = _images(path, header, _pixel_format(path, file, encoding, header), rescale)
        except LowDoseError as error:
            fault = error
        except Exception as error:  # broken nested headers raise errors of many types
            fault = CannotDecode(f"{path}: its header is damaged ({shown(error)}); copy or export this file again")
    return DicomFile(
        path,
        text(header.get("SeriesInstanceUID")),
        text(header.get("StudyInstanceUID")),
        text(header.get("FrameOfReferenceUID")),
        patient_of(header),
        (header.get("Rows", 0), header.get("Columns", 0)),
        _acquisition(header),
        patient_keys(header),
        images,
        fault,
    )


def _require_ct_slice(path: Path, header: Values) -> None:
    sop_class, modality = header["SOPClassUID"], text(header.get("Modality"))
    if not is_ct_class(sop_class):
        raise NotACtSlice(f"{shown(UID(sop_class).name)}, not a CT image")
    if not "CT".startswith(modality):
        raise NotACtSlice(f"modality {shown(modality)}, not CT")
    if "LOCALIZER" in str(header.get("ImageType")).upper():
        raise NotACtSlice("localizer (scout) image")
    if "Rows" not in header or "Columns" not in header:
        if not sop_class and not modality and META.keys().isdisjoint(header):
            raise NotACtSlice("no image in it")
        raise CannotDecode(f"{path}: may be a CT image, but its header ends early; copy or export it again")


def _images(path: Path, header: Values, form: PixelFormat, rescale: Rescale | None) -> tuple[SliceHeader, ...]:
    if "PerFrameFunctionalGroupsSequence" in header or "SharedFunctionalGroupsSequence" in header:
        return frames(path, header, form, rescale)
    if form.frames == 1:
        return (read_slice_header(path, 0, form, header, header, rescale),)
    # Frames of one header, which says what their HU are, but where no more than the first one lies.
    placeless = {keyword: value for keyword, value in header.items() if keyword != "ImagePositionPatient"}
    return tuple(
        read_slice_header(path, index, form, header, {**placeless, "InstanceNumber": index + 1}, rescale)
        for index in range(form.frames)
    )


def _pixel_format(path: Path, file: BinaryIO, encoding: Encoding, header: Values) -> PixelFormat:
    if header.get("SamplesPerPixel", 1) != 1:
        colour, samples = text(header.get("PhotometricInterpretation")), header["SamplesPerPixel"]
        raise NotCT(f"{path}: a colour image ({shown(colour)}, {samples} samples per pixel), not CT in HU")
    check_known(path, encoding.syntax)
    check_integers(path, file)
    if "BitsAllocated" not in header:
        raise CannotDecode(f"{path}: BitsAllocated is missing, so its pixels cannot be told apart; {CORRECT}")
    allocated = header["BitsAllocated"]
    bits = header.get("BitsStored") or header.get("HighBit", allocated - 1) + 1
    form = PixelFormat(
        integer(header.get("NumberOfFrames")) or 1,
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
        raise CannotDecode(
            f"{path}: {size} pixels, {bits} of {allocated} bits up to bit {form.high_bit} (BitsStored, BitsAllocated, "
            f"HighBit): no CT pixel format; {CORRECT}"
        )
    if form.rows * form.columns > MAX_PIXELS:
        raise CannotDecode(f"{path}: {size} pixels: no CT image is that large")
    return _locate(path, file, form, encoding.implicit)


def _locate(path: Path, file: BinaryIO, form: PixelFormat, implicit: bool) -> PixelFormat:
    """Return the pixel format with the byte at which native pixels begin.

    Raises CannotDecode when the pixels are not complete.
    """
    location = locate(file, implicit, form.little_endian)
    if location is None:
        raise CannotDecode(f"{path}: the file ends before its pixels; copy or export it again")
    if form.syntax.is_encapsulated:
        check_decodable(path, form.syntax, form.bits)
        check_encapsulated(path, file, form)
        return form
    check_native(path, form, form.frames, min(location[1], file.seek(0, SEEK_END) - location[0]))
    return replace(form, offset=location[0])


def _acquisition(header: Values) -> Acquisition:
    """Return kernel, thickness (mm), tube voltage (kV) and manufacturer as the header states them."""
    return Acquisition(
        text(header.get("ConvolutionKernel")) or None,
        number(header.get("SliceThickness")),
        number(header.get("KVP")),
        text(header.get("Manufacturer")) or None,
    )
